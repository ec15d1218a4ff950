"""Images in a terminal: two pixels per character, their size where that is not possible."""

from __future__ import annotations

from rich.console import Console

from swarmd.cli.picture import HALF, picture, print_images
from swarmd.images import Image

TALL = Image(1, 3, bytes((255, 0, 0, 0, 255, 0, 0, 0, 255)))


def printed(image: Image, *, colours: bool) -> str:
    console = Console(
        force_terminal=colours, color_system="truecolor" if colours else None, no_color=not colours
    )
    with console.capture() as written:
        print_images(console, (image,))
    return written.get()


def test_two_pixels_stand_above_one_another_and_black_below_an_odd_row() -> None:
    drawn = picture(TALL)
    assert drawn.plain.splitlines() == [f"  {HALF}", f"  {HALF}"]
    assert [str(span.style) for span in drawn.spans] == ["#ff0000 on #00ff00", "#0000ff on #000000"]


def test_without_colours_and_for_a_wide_image_the_size_alone_is_told() -> None:
    assert "image 1 of 1, 1 x 3 pixels" in printed(TALL, colours=False)
    assert HALF not in printed(TALL, colours=False)
    assert HALF in printed(TALL, colours=True)
    assert HALF not in printed(Image(65, 1, bytes(195)), colours=True)
