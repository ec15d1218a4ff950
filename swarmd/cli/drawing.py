"""A grid of letters as coloured cells in a terminal."""

from __future__ import annotations

from rich.text import Text

from swarmd.tasks import extract_answer
from swarmd.tasks.drawing.grid import EMPTY, PALETTE, read_square


def drawing(completion: str) -> Text | None:
    """The grid in the answer of a completion, indented as its text is; None if there is none."""
    answer = extract_answer(completion)
    grid = None if answer is None else read_square(answer)
    if grid is None:
        return None
    drawn = Text()
    for row in grid:
        drawn.append("  ")
        for letter in row:
            drawn.append("· " if letter == EMPTY else "  ", style=_STYLES[letter])
        drawn.append("\n")
    drawn.rstrip()
    return drawn


_STYLES = {letter: f"on {colour}" for letter, colour in PALETTE.items()} | {EMPTY: "dim"}
