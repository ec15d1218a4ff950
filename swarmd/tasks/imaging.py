"""Converts the images that a task gives to the form in which they are hashed and shown. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy

from swarmd.images import CHANNELS, Image, Images, why_no_images
from swarmd.tasks.source import RefusedTaskError, Task, TurnsTask


class BadImageError(RefusedTaskError):
    """A task gave something that is not an image, or an image beyond the limits."""

    kind: ClassVar[str] = "image"


def images_for(task: Task | TurnsTask, entry: Any) -> Images:
    """The images of the question; empty if the task has none. Raises BadImageError."""
    draw: Callable[[Any], Any] | None = getattr(task, "images", None)
    if draw is None:
        return ()
    images = tuple(map(_image, draw(entry)))
    why = why_no_images(images)
    if why is not None:
        raise BadImageError(f"the task gives {why}")
    return images


def _image(pixels: Any) -> Image:
    if not isinstance(pixels, numpy.ndarray):
        raise BadImageError(f"an image of the task is a {type(pixels).__name__}: it must be a numpy array")
    if pixels.dtype != numpy.uint8 or pixels.ndim != 3 or pixels.shape[2] != CHANNELS:
        raise BadImageError(
            f"an image of the task is an array {list(pixels.shape)} of {pixels.dtype}: it must be [height, "
            f"width, {CHANNELS}] of uint8"
        )
    return Image(pixels.shape[1], pixels.shape[0], pixels.tobytes())
