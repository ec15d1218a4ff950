"""A grid in an answer is drawn in colour; any other text is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from swarmd.cli.drawing import drawing


def test_a_grid_is_drawn_cell_by_cell_in_its_colours() -> None:
    drawn = drawing("Here it is.\n<answer>\nRR-\nRRB\n--B\n</answer>")
    assert drawn is not None
    console = Console(color_system="standard", force_terminal=True, no_color=False, width=40)
    with console.capture() as written:
        console.print(drawn)
    red, blue, empty = "\x1b[31;41mR \x1b[0m", "\x1b[34;44mB \x1b[0m", "\x1b[2m- \x1b[0m"
    assert [line.removeprefix("  ") for line in written.get().splitlines()] == [
        red * 2 + empty,
        red * 2 + blue,
        empty * 2 + blue,
    ]


def test_without_colours_the_letters_are_left() -> None:
    drawn = drawing("<answer>R-\n-Y</answer>")
    assert drawn is not None
    assert drawn.plain.splitlines() == ["  R - ", "  - Y "]


@pytest.mark.parametrize(
    "completion",
    [
        "RR\nRR",  # no answer
        "<answer>42</answer>",
        "<answer>R</answer>",
        "<answer>RR\nR</answer>",
        "<answer>RX\nRR</answer>",
        "<answer>R\x1b\nRR</answer>",
        f"<answer>{chr(10).join(['R' * 17] * 17)}</answer>",
    ],
)
def test_what_is_no_grid_is_not_drawn(completion: str) -> None:
    assert drawing(completion) is None


@given(st.text())
def test_no_text_of_a_stranger_reaches_the_terminal_through_a_drawing(text: str) -> None:
    drawn = drawing(f"<answer>{text}</answer>")
    assert drawn is None or set(drawn.plain) <= {*"RGBY- \n"}
