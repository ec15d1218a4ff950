"""How a model is shown images: where their tokens are in a prompt, and what its vision tower makes of them.

`sight_kinds.py` lists the types of models that can be shown images, `eyes.py` converts pixels.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    PretrainedConfig,
)

from swarmd.adapted import without_adapters
from swarmd.errors import ModelError
from swarmd.images import CHANNELS, SIDE_MAX, Image, Images, Prompt
from swarmd.model.eyes import Eye, Patches, Scale, Square
from swarmd.model.sight_kinds import IMAGE, KINDS, REMEDY, Kind, side_of

PREPROCESSOR, PROCESSOR = "preprocessor_config.json", "processor_config.json"
"""transformers 5 writes the second, with the content of the first at `image_processor`."""
PROCESSORS = "*processor_config.json"
"""Matches both, and the one for videos, which transformers' own processors want to find."""
CONTROL = re.compile(r"<[^<>]+>")
"""A control token in the texts of `Kind`."""
BLANK = Image(1, 1, bytes(CHANNELS))


def is_seeing(config: PretrainedConfig) -> bool:
    """Whether models with this configuration can be shown images."""
    return config.model_type in KINDS


def model_class(config: PretrainedConfig) -> Any:
    """The class of transformers that builds a model with this configuration.

    Raises ModelError for a vision model of an unsupported kind that is not also a text model.
    """
    if is_seeing(config):
        return AutoModelForImageTextToText
    if hasattr(config, "vision_config") and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ModelError(f"images for models of the type {config.model_type} are not supported: {REMEDY}")
    return AutoModelForCausalLM


@dataclass(frozen=True)
class Sight:
    """How to show images to a model with sight."""

    token: int
    """Appears in a prompt once for each vector of an image."""
    text: str
    """The spelling of that token."""
    kind: Kind
    eye: Eye

    @property
    def written(self) -> str:
        """An image in a message, if the chat template takes plain text."""
        return self.kind.written.replace(IMAGE, self.text)

    def asked(self, question: str, images: Images) -> str:
        """The question preceded by the images. Raises ModelError for images that are too large."""
        for image in images:
            if isinstance(self.eye, Square) and not self.eye.fits(image):
                raise ModelError(
                    f"an image of {image.width} x {image.height} pixels is larger than the {self.eye.side} x "
                    f"{self.eye.side} that this model reads: use a model with a larger vision tower"
                )
        return self.written * len(images) + question

    def expanded(self, conversation: str) -> str:
        """The written conversation, with everything that the model expects around an image's vectors."""
        mark, whole = (each.replace(IMAGE, self.text) for each in (self.kind.mark, self.kind.expanded))
        return conversation.replace(mark, whole)

    def prompt(self, ids: Sequence[int], images: Images) -> Prompt:
        """The prompt tokens, with the image token repeated once for each of an image's vectors.

        Raises ModelError if the chat template did not keep exactly one token per image.
        """
        if ids.count(self.token) != len(images):
            raise ModelError(
                f"the prompt has {self.text} {ids.count(self.token)} times for {len(images)} images: the "
                f"chat template changes it; {REMEDY}"
            )
        times = iter([self.eye.vectors(image) for image in images])
        repeated = (token for one in ids for token in ([one] * (next(times) if one == self.token else 1)))
        return Prompt(repeated, images)


@dataclass(frozen=True)
class Seen:
    """What a vision tower made of images."""

    vectors: list[Tensor]
    """[V, H] per image: the language model's input instead of its image tokens. Differentiable."""
    deep: list[list[Tensor]]
    """The same for each of the later layers that images also enter; empty for most kinds."""
    grids: Tensor | None
    """[N, 3]: frames, rows and columns of patches per image; None if all images are squares of one size."""

    def repeated(self, order: Sequence[int]) -> Seen:
        """These images in another order, in which some may appear several times."""
        vectors, *deep = ([layer[at] for at in order] for layer in (self.vectors, *self.deep))
        return Seen(vectors, deep, None if self.grids is None else self.grids[list(order)])


def see(model: Any, sight: Sight, images: Sequence[Image]) -> Seen:
    """Run the vision tower. Raises ModelError if it drops an image."""
    base: Any = without_adapters(model)
    parameter = next(base.parameters())
    inputs = {name: each.to(parameter.device) for name, each in sight.eye.inputs(images).items()}
    inputs["pixel_values"] = inputs["pixel_values"].to(parameter.dtype)
    found = base.get_image_features(**inputs, return_dict=True)
    vectors = list(found.pooler_output)
    if len(vectors) != len(images):
        raise ModelError(f"the vision tower read {len(vectors)} of {len(images)} images: {REMEDY}")
    deep = [list(layer) for layer in getattr(found, "deepstack_features", None) or ()]
    return Seen(vectors, deep, inputs.get("image_grid_thw"))


@torch.no_grad()
def read_sight(model: Any, tokenizer: Any, folder: Path, *, sees: bool = True) -> Sight | None:
    """How the model in `folder` is shown images; None for a model without sight. Raises ModelError.

    A text model that can also see has no sight without `sees`, without a chat template, and if its folder has
    no settings for images, like one exported for text.
    """
    config = model.config
    if not is_seeing(config):
        return None
    kind = KINDS[config.model_type]
    if kind.also_text and not (
        sees and tokenizer.chat_template and (folder / settings_file(folder)).is_file()
    ):
        return None
    processor, scale = _processor(folder)
    token = int(config.image_token_id)
    text = str(tokenizer.convert_ids_to_tokens(token))
    for control in (text, *CONTROL.findall(kind.written + kind.expanded)):
        if len(tokenizer.encode(control, add_special_tokens=False)) != 1:
            raise ModelError(f"the tokenizer in {folder} has no token for {control}: {REMEDY}")
    eye = _eye(config, processor, scale, folder)
    sight = Sight(token, text, kind, eye)
    [vectors] = see(model, sight, [BLANK]).vectors
    if isinstance(eye, Square):
        sight = replace(sight, eye=replace(eye, each=len(vectors)))
    if sight.eye.vectors(BLANK) != len(vectors):
        raise ModelError(f"an image becomes {len(vectors)} vectors, not {eye.vectors(BLANK)}: {REMEDY}")
    return sight


def patches_of(config: PretrainedConfig, folder: Path | None) -> int:
    """Patches that the vision tower reads of the largest image of a task. `folder` as in `read_sight`.

    Raises ModelError.
    """
    processor: Mapping[str, Any] = {}
    if folder is not None:
        with suppress(ModelError):  # `read_sight` raises it, if images will be shown
            processor, _ = _processor(folder)
    eye = _eye(config, processor, Scale((), ()), folder)
    if isinstance(eye, Patches):
        return eye.patches(Image(SIDE_MAX, SIDE_MAX, b""))
    return (eye.side // side_of(config.vision_config.patch_size)) ** 2


def _eye(config: PretrainedConfig, processor: Mapping[str, Any], scale: Scale, folder: Path | None) -> Eye:
    try:
        return KINDS[config.model_type].eye(config, processor, scale)
    except (ValueError, TypeError, AttributeError) as error:
        where = "the model's configuration" if folder is None else folder
        raise ModelError(f"{where} does not say which images it reads ({error}): {REMEDY}") from error


def settings_file(folder: Path) -> str:
    """The name of the file with the image processor's settings, if `folder` has one."""
    return PREPROCESSOR if (folder / PREPROCESSOR).is_file() else PROCESSOR


def _processor(folder: Path) -> tuple[dict[str, Any], Scale]:
    """The image processor's settings, and how it normalises colours."""
    for path, within in ((folder / PREPROCESSOR, None), (folder / PROCESSOR, "image_processor")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            settings = found if within is None else found[within]
            mean, std = (tuple(map(float, settings[name])) for name in ("image_mean", "image_std"))
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if len(mean) != CHANNELS or len(std) != CHANNELS or 0 in std:
            raise ModelError(f"{path} normalises {len(mean)} channels: images here have {CHANNELS}")
        return settings, Scale(mean, std)
    raise ModelError(
        f"neither {PREPROCESSOR} nor {PROCESSOR} in {folder} says how images are normalised (image_mean, "
        "image_std): copy or download the model again"
    )
