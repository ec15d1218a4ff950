"""Turns images into the numbers that a vision tower reads. Whole numbers in; nothing is resampled.

Pixels are converted here rather than by an image processor, so neither Pillow nor torchvision is needed, and
all machines compute the same. A pixel is repeated as often as fits, and what is left over stays black.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.images import CHANNELS, Image

ENLARGED_PIXELS_MAX = 2**20
"""Pixels that a small image may be enlarged to: 16 times the largest image of a task."""

Inputs = dict[str, Tensor]
"""Arguments of a model's `get_image_features`."""


@dataclass(frozen=True)
class Scale:
    """How colours from 0 to 1 were normalised in the model's training, per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def of(self, colours: Tensor) -> Tensor:
        """Normalised `colours` [..., 3, height, width]."""
        mean, std = (torch.tensor(each)[:, None, None] for each in (self.mean, self.std))
        return (colours - mean) / std


@dataclass(frozen=True)
class Square:
    """The eye of a tower that reads squares of one size."""

    side: int
    """In pixels."""
    scale: Scale
    shaped: Callable[[Tensor], Inputs]
    """Makes the model's arguments from squares [N, 3, side, side]."""
    each: int = 1
    """Vectors per image: the tokens of context that it takes."""

    def fits(self, image: Image) -> bool:
        """Whether the tower can read all of its pixels."""
        return max(image.width, image.height) <= self.side

    def vectors(self, image: Image) -> int:  # noqa: ARG002  for other eyes it depends on the image
        """Vectors that `image` becomes."""
        return self.each

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """[N, 3, side, side] in float32."""
        found = [_enlarged(each, self.side // max(each.width, each.height)) for each in images]
        return self.scale.of(torch.stack([_on_black(each, self.side, self.side) for each in found]))

    def inputs(self, images: Sequence[Image]) -> Inputs:
        """The model's arguments for `images`."""
        return self.shaped(self.pixels(images))


@dataclass(frozen=True)
class Patches:
    """The eye of a tower that reads the patches of images of any size (Qwen2-VL, arXiv 2409.12191)."""

    patch: int
    """Side of a patch in pixels."""
    merged: int
    """Side in patches of the square that becomes one vector."""
    pixels_min: int
    """Pixels that an image has at least; smaller ones are enlarged."""
    scale: Scale
    setting: str
    """The image processor's setting that `pixels_min` follows from."""
    shaped: Callable[[Sequence[Tensor]], Inputs]
    """Makes the model's arguments from images [R, merged, patch, C, merged, patch, 3] of R x C vectors."""

    def __post_init__(self) -> None:
        """Raises ValueError if images would be enlarged beyond `ENLARGED_PIXELS_MAX`."""
        if not 0 < self.pixels_min <= ENLARGED_PIXELS_MAX:
            raise ValueError(f"images of at least {self.pixels_min} pixels, at most {ENLARGED_PIXELS_MAX}")

    def grid(self, image: Image) -> tuple[int, int]:
        """Rows and columns of vectors."""
        times, unit = self._times(image), self.patch * self.merged
        rows, columns = (-(-times * each // unit) for each in (image.height, image.width))
        return rows, columns

    def vectors(self, image: Image) -> int:
        """Vectors that `image` becomes."""
        rows, columns = self.grid(image)
        return rows * columns

    def patches(self, image: Image) -> int:
        """Patches that the tower reads of `image`."""
        return self.vectors(image) * self.merged**2

    def inputs(self, images: Sequence[Image]) -> Inputs:
        """The model's arguments for `images`."""
        return self.shaped([self._cut(image) for image in images])

    def _times(self, image: Image) -> int:
        return math.ceil(math.sqrt(self.pixels_min / (image.width * image.height)))

    def _cut(self, image: Image) -> Tensor:
        rows, columns = self.grid(image)
        unit = self.patch * self.merged
        large = _on_black(_enlarged(image, self._times(image)), rows * unit, columns * unit)
        shape = (CHANNELS, rows, self.merged, self.patch, columns, self.merged, self.patch)
        return self.scale.of(large).reshape(shape).movedim(0, -1)


Eye = Square | Patches


def _enlarged(image: Image, times: int) -> Tensor:
    """[3, times x height, times x width], from 0 to 1."""
    pixels = torch.frombuffer(bytearray(image.pixels), dtype=torch.uint8)
    rows = pixels.view(image.height, image.width, CHANNELS).permute(2, 0, 1)
    return rows.repeat_interleave(times, dim=1).repeat_interleave(times, dim=2).float() / 255


def _on_black(colours: Tensor, height: int, width: int) -> Tensor:
    """`colours` in the middle of a black area [3, height, width]."""
    found = torch.zeros(CHANNELS, height, width)
    rows, columns = colours.shape[1:]
    top, left = (height - rows) // 2, (width - columns) // 2
    found[:, top : top + rows, left : left + columns] = colours
    return found
