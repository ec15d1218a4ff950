"""How a model is shown images: the token that stands for them, and the numbers that its vision tower reads.

Only LLaVA's architecture is supported (arXiv 2304.08485): a vision tower, a projector, a language model.
Pixels are converted here rather than by an image processor, so neither Pillow nor torchvision is needed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
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
from swarmd.images import CHANNELS, Image, Images, Prompt

SEEING = ("llava",)
"""Types of models that can be shown images."""
PREPROCESSOR = "preprocessor_config.json"
REMEDY = "use --model embedded-visual, or another model of LLaVA's architecture"


def model_class(config: PretrainedConfig) -> Any:
    """The class of transformers that builds a model with this configuration.

    Raises ModelError for a vision model of an unsupported kind that is not also a text model.
    """
    if config.model_type in SEEING:
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
    vectors: int
    """Vectors per image: the tokens of context that it takes."""
    side: int
    """Side in pixels of the square that the vision tower reads."""
    mean: tuple[float, ...]
    std: tuple[float, ...]
    """Per channel, for values from 0 to 1."""

    def fits(self, images: Sequence[Image]) -> bool:
        """Whether the images are at most as large as the vision tower's input."""
        return all(max(image.width, image.height) <= self.side for image in images)

    def asked(self, question: str, images: Images) -> str:
        """The question preceded by the images, one per line. Raises ModelError for images that are too
        large."""
        if not self.fits(images):
            image = images[0]
            raise ModelError(
                f"an image of {image.width} x {image.height} pixels is larger than the {self.side} x "
                f"{self.side} that this model reads: use a model with a larger vision tower"
            )
        return f"{self.text}\n" * len(images) + question

    def prompt(self, ids: Sequence[int], images: Images) -> Prompt:
        """The prompt tokens, with the image token repeated once for each of an image's vectors.

        Raises ModelError if the chat template did not keep exactly one token per image.
        """
        if ids.count(self.token) != len(images):
            raise ModelError(
                f"the prompt has {self.text} {ids.count(self.token)} times for {len(images)} images: the "
                f"chat template changes it; {REMEDY}"
            )
        repeated = (token for one in ids for token in ([one] * (self.vectors if one == self.token else 1)))
        return Prompt(repeated, images)

    def pixel_values(self, images: Sequence[Image]) -> Tensor:
        """[N, 3, side, side] in float32. Each pixel is repeated as often as fits, centred on a black square,
        without interpolation."""
        found = torch.zeros(len(images), CHANNELS, self.side, self.side)
        for number, image in enumerate(images):
            times = self.side // max(image.width, image.height)
            pixels = torch.frombuffer(bytearray(image.pixels), dtype=torch.uint8)
            rows = pixels.view(image.height, image.width, CHANNELS).permute(2, 0, 1)
            large = rows.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2)
            top, left = (self.side - large.shape[1]) // 2, (self.side - large.shape[2]) // 2
            found[number, :, top : top + large.shape[1], left : left + large.shape[2]] = large.float() / 255
        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        return (found - mean) / std


def image_vectors(model: Any, sight: Sight, images: Sequence[Image]) -> Tensor:
    """[N, vectors, H]: the language model's input instead of the image tokens. Differentiable."""
    base: Any = without_adapters(model)
    parameter = next(base.parameters())
    pixels = sight.pixel_values(images).to(parameter.device, parameter.dtype)
    found = base.get_image_features(pixel_values=pixels, return_dict=True)
    return torch.stack(list(found.pooler_output))


@torch.no_grad()
def read_sight(model: Any, tokenizer: Any, folder: Path) -> Sight | None:
    """How the model in `folder` is shown images; None for a model without sight. Raises ModelError."""
    config = model.config
    if config.model_type not in SEEING:
        return None
    mean, std = _normalisation(folder)
    token = int(config.image_token_id)
    text = str(tokenizer.convert_ids_to_tokens(token))
    if tokenizer.encode(text, add_special_tokens=False) != [token]:
        raise ModelError(f"the tokenizer in {folder} has no token for images ({token}): {REMEDY}")
    sight = Sight(token, text, 1, int(config.vision_config.image_size), mean, std)
    blank = Image(1, 1, bytes(CHANNELS))
    vectors = image_vectors(model, sight, [blank]).shape[1]
    return Sight(token, text, vectors, sight.side, mean, std)


def _normalisation(folder: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel, as used in the model's training."""
    try:
        found = json.loads((folder / PREPROCESSOR).read_text(encoding="utf-8"))
        mean, std = (tuple(map(float, found[name])) for name in ("image_mean", "image_std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder / PREPROCESSOR} does not say how images are normalised (image_mean, image_std): copy "
            "or download the model again"
        ) from error
    if len(mean) != CHANNELS or len(std) != CHANNELS or 0 in std:
        raise ModelError(
            f"{folder / PREPROCESSOR} normalises {len(mean)} channels: images here have {CHANNELS}"
        )
    return mean, std
