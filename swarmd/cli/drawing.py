"""A grid of letters as coloured cells in a terminal."""

from __future__ import annotations

from rich.text import Text

from swarmd.tasks import extract_answer
from swarmd.tasks.drawing.grid import EMPTY, PALETTE, read_square


def drawing(completion: str) -> Text | None:
    """Return the grid in the answer of a completion, indented like its text; None if there is none."""
    answer = extract_answer(completion)
    grid = None if answer is None else read_square(answer)
    if grid is None:
        return None
    rows = [Text.assemble("  ", *((f"{letter} ", _STYLES[letter]) for letter in row)) for row in grid]
    return Text("\n").join(rows)


# The letters stay, for terminals without colours.
_STYLES = {letter: f"{colour} on {colour}" for letter, colour in PALETTE.items()} | {EMPTY: "dim"}
