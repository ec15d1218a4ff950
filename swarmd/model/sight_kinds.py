"""The types of models that can be shown images, and in what each differs from the others.

An image is never cut into tiles, because ours have at most 256 pixels a side (`swarmd/images.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from swarmd.model.eyes import Eye, Inputs, Patches, Scale, Square

IMAGE = "{image}"
"""In the texts below: the spelling of the model's image token."""
PIXELS_MIN = 56 * 56
"""What Qwen2-VL's image processor enlarges images to, unless the model's folder says otherwise."""
VECTORS_MIN = 64
"""The same for LFM2-VL's, in vectors."""


def _plain(pixels: Tensor) -> Inputs:
    return {"pixel_values": pixels}


def _one_per_row(pixels: Tensor) -> Inputs:
    """For models that read the images of several rows: [rows, images, 3, side, side]."""
    return {"pixel_values": pixels[:, None]}


def _without_tiles(pixels: Tensor) -> Inputs:
    """For LLaVA-OneVision, which cuts an image into tiles if it is the only one of its row."""
    count, side = len(pixels), pixels.shape[-1]
    together = torch.tensor([max(2, count)])
    return {
        "pixel_values": pixels,
        "image_sizes": torch.tensor([[side, side]] * count),
        "batch_num_images": together,
    }


def _square(shaped: Callable[[Tensor], Inputs]) -> Callable[[Any, Mapping[str, Any], Scale], Eye]:
    def eye(config: Any, processor: Mapping[str, Any], scale: Scale) -> Eye:  # noqa: ARG001
        return Square(side_of(config.vision_config.image_size), scale, shaped)

    return eye


def _by_vector(config: Any, processor: Mapping[str, Any], scale: Scale) -> Eye:
    """For Qwen's models: the patches of one vector are neighbours, and all frames of a patch are equal."""
    vision, size = config.vision_config, processor.get("size") or {}

    def shaped(cut: Sequence[Tensor]) -> Inputs:
        grids = [(1, each.shape[0] * each.shape[1], each.shape[3] * each.shape[4]) for each in cut]
        patches = [each.permute(0, 3, 1, 4, 6, 2, 5)[..., None, :, :] for each in cut]
        frames = (each.expand(*[-1] * 5, vision.temporal_patch_size, -1, -1) for each in patches)
        return {
            "pixel_values": torch.cat([each.flatten(4).flatten(0, 3) for each in frames]),
            "image_grid_thw": torch.tensor(grids),
        }

    setting = "min_pixels" if processor.get("min_pixels") else "size.shortest_edge"
    least = processor.get("min_pixels") or size.get("shortest_edge") or PIXELS_MIN
    return Patches(vision.patch_size, vision.spatial_merge_size, int(least), scale, setting, shaped)


def _by_row(config: Any, processor: Mapping[str, Any], scale: Scale) -> Eye:
    """For LFM2-VL: row by row, with the fewer patches of smaller images filled up."""

    def shaped(cut: Sequence[Tensor]) -> Inputs:
        patches = [each.permute(0, 1, 3, 4, 2, 5, 6).flatten(4).flatten(0, 3) for each in cut]
        real = [torch.ones(len(each), dtype=torch.int32) for each in patches]
        return {
            "pixel_values": torch.nn.utils.rnn.pad_sequence(patches, batch_first=True),
            "pixel_attention_mask": torch.nn.utils.rnn.pad_sequence(real, batch_first=True),
            "spatial_shapes": torch.tensor(
                [(each.shape[0] * each.shape[1], each.shape[3] * each.shape[4]) for each in cut]
            ),
        }

    patch, merged = config.vision_config.patch_size, config.downsample_factor
    least = (patch * merged) ** 2 * int(processor.get("min_image_tokens") or VECTORS_MIN)
    return Patches(patch, merged, least, scale, "min_image_tokens", shaped)


SQUARE = _square(_plain)


def side_of(size: Any) -> int:
    """In pixels. Raises ValueError for a tower that does not read squares."""
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1:
        raise ValueError(f"its vision tower reads images of {size} pixels, which is not a square")
    return int(sides.pop())


@dataclass(frozen=True)
class Kind:
    """How models of one type are shown images."""

    eye: Callable[[Any, Mapping[str, Any], Scale], Eye] = SQUARE
    """Makes the eye from the model's configuration, its image processor's settings and the scale."""
    written: str = IMAGE + "\n"
    """An image in a message, if the chat template takes plain text. Templates that take parts write their
    own."""
    mark: str = IMAGE
    """What the written conversation has for each image."""
    expanded: str = IMAGE
    """What the prompt has in its place. The image token is then repeated for each vector."""
    deep: bool = False
    """Whether images also enter later layers, which transformers itself must arrange."""
    also_text: bool = False
    """Whether transformers counts it among the text models too. It then also trains without images."""


SMOL = Kind(
    _square(_one_per_row),
    written=IMAGE,
    expanded=f"<fake_token_around_image><global-img>{IMAGE}<fake_token_around_image>",
)
QWEN = Kind(_by_vector, written=f"<|vision_start|>{IMAGE}<|vision_end|>")

KINDS: Mapping[str, Kind] = {
    "gemma3": Kind(
        written="<start_of_image>",
        mark="<start_of_image>",
        expanded=f"\n\n<start_of_image>{IMAGE}<end_of_image>\n\n",
        also_text=True,
    ),
    "idefics3": SMOL,
    "internvl": Kind(expanded=f"<img>{IMAGE}</img>"),
    "lfm2_vl": Kind(_by_row, written=IMAGE, expanded=f"<|image_start|>{IMAGE}<|image_end|>"),
    "llava": Kind(),
    "llava_onevision": Kind(_square(_without_tiles)),
    "qwen2_5_vl": QWEN,
    "qwen2_vl": QWEN,
    "qwen3_vl": replace(QWEN, deep=True),
    "smolvlm": SMOL,
}
"""By `model_type` in config.json."""
REMEDY = f"use --model embedded-visual, or a model of type {', '.join(sorted(KINDS))}"
