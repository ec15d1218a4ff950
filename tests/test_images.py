"""Images as plain pixels, and prompts that have some."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import image_digest
from swarmd.images import IMAGES_MAX, SIDE_MAX, Image, Prompt, images_of, why_no_images

RED, BLUE = (Image(1, 1, bytes(colour)) for colour in ((255, 0, 0), (0, 0, 255)))
ids = st.lists(st.integers(0, 9), max_size=4)
images = st.lists(st.sampled_from((RED, BLUE)), max_size=2).map(tuple)


@given(ids, images, ids, images)
def test_prompts_are_equal_only_with_equal_tokens_and_images(a, shown_in_a, b, shown_in_b) -> None:
    first, second = Prompt(a, shown_in_a), Prompt(b, shown_in_b)
    same = (a, shown_in_a) == (b, shown_in_b)
    assert (first == second) is same
    assert (first != second) is not same
    assert len({first, second}) == (1 if same else 2)
    assert same or (first < second) is not (second < first)


@given(ids)
def test_a_prompt_without_images_is_its_tokens(tokens) -> None:
    assert Prompt(tokens) == tuple(tokens)
    assert hash(Prompt(tokens)) == hash(tuple(tokens))
    assert images_of(tuple(tokens)) == ()


def test_a_digest_covers_size_and_pixels() -> None:
    wide, tall = Image(2, 1, bytes(6)), Image(1, 2, bytes(6))
    assert wide.digest == image_digest(2, 1, 3, bytes(6))
    assert len({wide.digest, tall.digest, Image(2, 1, bytes(5) + b"\1").digest}) == 3


def test_a_png_holds_the_rows() -> None:
    png = Image(2, 2, bytes(range(12))).png()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    start = png.index(b"IDAT") + 4
    assert zlib.decompressobj().decompress(png[start:]) == b"\0" + bytes(range(6)) + b"\0" + bytes(
        range(6, 12)
    )


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ((RED,) * (IMAGES_MAX + 1), "at most 8"),
        ((Image(SIDE_MAX + 1, 1, bytes(3 * SIDE_MAX + 3)),), "257 x 1"),
        ((Image(0, 1, b""),), "0 x 1"),
        ((Image(2, 2, bytes(11)),), "11 bytes"),
        ((RED, Image(2, 1, bytes(6))), "different sizes"),
        ((Image(256, 256, bytes(196_608)),) * 2, "together"),
    ],
)
def test_images_beyond_a_limit_are_named(shown, why) -> None:
    assert why in str(why_no_images(shown))


def test_images_within_the_limits_are_fine() -> None:
    assert why_no_images((RED, BLUE)) is None
    assert why_no_images(()) is None
