"""An image as plain pixels, and a prompt's tokens together with the images among them.

Every machine must have the same pixels, because their hash is part of a question's digest (SPEC 6.13). So
there are only whole numbers here.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from protocol.held_out import image_digest

CHANNELS = 3
"""Red, green and blue, one byte each."""

SIDE_MAX = 256
"""Pixels of an image's width or height: small models read 32 to 384, and tasks draw no photographs."""

IMAGES_MAX = 8
"""Images of one prompt: a short video. Each takes tens of tokens or more."""

PIXEL_BYTES_MAX = SIDE_MAX * SIDE_MAX * CHANNELS
"""Bytes of all images of one prompt together: one of the largest, or eight of 90 x 90. The 32 questions of a
request then take 6 MiB, and a frame from the task worker holds 8."""


class Image(NamedTuple):
    """Pixels row by row from the top left, one byte per channel."""

    width: int
    height: int
    pixels: bytes

    @property
    def digest(self) -> bytes:
        """32 bytes: what a question's digest holds of it."""
        return image_digest(self.width, self.height, CHANNELS, self.pixels)

    def png(self) -> bytes:
        """The same as a PNG file (RFC 2083), for browsers."""
        row = self.width * CHANNELS
        rows = (self.pixels[start : start + row] for start in range(0, len(self.pixels), row))
        head = self.width.to_bytes(4, "big") + self.height.to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
        data = zlib.compress(b"".join(b"\0" + each for each in rows))
        return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


Images = tuple[Image, ...]


def why_no_images(images: Sequence[Image]) -> str | None:
    """What is wrong with the images of a prompt; None if they are within the limits."""
    if len(images) > IMAGES_MAX:
        return f"{len(images)} images, and a prompt has at most {IMAGES_MAX}"
    for image in images:
        if not (1 <= image.width <= SIDE_MAX and 1 <= image.height <= SIDE_MAX):
            return f"an image of {image.width} x {image.height} pixels: a side has 1 to {SIDE_MAX}"
        if len(image.pixels) != image.width * image.height * CHANNELS:
            return f"{len(image.pixels)} bytes of pixels for an image of {image.width} x {image.height}"
    if len({(image.width, image.height) for image in images}) > 1:
        return "images of different sizes: those of one prompt have the same"
    total = sum(len(image.pixels) for image in images)
    if total > PIXEL_BYTES_MAX:
        return f"images of {total} bytes together, at most {PIXEL_BYTES_MAX}: draw smaller or fewer ones"
    return None


class Prompt(tuple[int, ...]):
    """Token ids, and the images that they stand for in part. Equal to another only if both are equal."""

    images: Images

    def __new__(cls, ids: Iterable[int], images: Images = ()) -> Prompt:
        made = super().__new__(cls, ids)
        made.images = images
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and tuple(self) == tuple(other) and self.images == images_of(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((tuple(self), self.images)) if self.images else tuple.__hash__(self)

    def __lt__(self, other: tuple[int, ...]) -> bool:
        return (tuple(self), self.images) < (tuple(other), images_of(other))


def images_of(prompt: object) -> Images:
    """The images of a prompt in whatever form it is: plain token ids have none."""
    return prompt.images if isinstance(prompt, Prompt) else ()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
