"""The images of a question in a terminal: two pixels per character, an upper half block of two colours."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from swarmd.images import CHANNELS, Image, Images

WIDTH_MAX = 64  # pixels: a wider image would wrap in a terminal of 80 columns
HALF = "\u2580"


def print_images(console: Console, images: Images) -> None:
    """Print each image, indented like text; only its size if it is wide, or if there are no colours."""
    for number, image in enumerate(images, start=1):
        head = f"  image {number} of {len(images)}, {image.width} x {image.height} pixels"
        console.print(Text(head, style="dim"))
        if image.width <= WIDTH_MAX and console.color_system is not None:
            console.print(picture(image))


def picture(image: Image) -> Text:
    """Return the rows of the image, two per line. An odd last row has black below it."""
    lines = [
        Text.assemble(
            "  ", *((HALF, f"{_at(image, row, x)} on {_at(image, row + 1, x)}") for x in range(image.width))
        )
        for row in range(0, image.height, 2)
    ]
    return Text("\n").join(lines)


def _at(image: Image, row: int, column: int) -> str:
    start = (row * image.width + column) * CHANNELS
    return f"#{image.pixels[start : start + CHANNELS].hex():0>6}"
