"""A grid as text, and which shapes are on it. Pure.

R R - -      A line of text for each row, a letter for each cell (here with spaces, for the eye alone).
R R - B      Cells of one colour that share a side belong together. A corner does not connect.
- - - B
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from swarmd.tasks.drawing.shapes import LINE_MAX, Cells, kind_of, neighbours

PALETTE = {"R": "red", "G": "green", "B": "blue", "Y": "yellow"}
EMPTY = "-"  # a grid is then words and signs that evaluate to nothing: it is scored without seccomp, too
LETTERS = frozenset((*PALETTE, EMPTY))

Grid = tuple[str, ...]
"""Rows of equal length, of `LETTERS`."""

Shape = tuple[str, str | None]
"""(colour, kind). The kind is None for cells that belong together and are no shape."""


def read_grid(text: str, size: int) -> Grid | None:
    """The grid of `size` rows and columns that `text` is; None if it is none."""
    if len(text) != size * (size + 1) - 1:
        return None
    rows = tuple(text.split("\n"))
    return rows if len(rows) == size and all(len(r) == size and LETTERS.issuperset(r) for r in rows) else None


def read_square(text: str) -> Grid | None:
    """The grid of any size up to `LINE_MAX` that `text` is; None if it is none."""
    size = text.count("\n") + 1
    return read_grid(text, size) if 2 <= size <= LINE_MAX else None


def write_grid(grid: Grid) -> str:
    """The text that `read_grid` reads."""
    return "\n".join(grid)


def shapes_on(grid: Grid) -> Counter[Shape]:
    """How many of each shape are on the grid."""
    left = {(r, c): letter for r, row in enumerate(grid) for c, letter in enumerate(row) if letter != EMPTY}
    found: Counter[Shape] = Counter()
    while left:
        cell, letter = next(iter(left.items()))
        found[PALETTE[letter], kind_of(_component(cell, letter, left))] += 1
    return found


def _component(start: tuple[int, int], letter: str, left: dict[tuple[int, int], str]) -> Cells:
    """The cells of that letter which are connected with `start`. They are taken out of `left`."""
    component, pending = {start}, [start]
    del left[start]
    while pending:
        for cell in neighbours(pending.pop()):
            if left.get(cell) == letter:
                del left[cell]
                component.add(cell)
                pending.append(cell)
    return frozenset(component)


def likeness(drawn: Mapping[Shape, int], wanted: Mapping[Shape, int]) -> float:
    """Shapes that both have, divided by those that either has: 1 if they are the same, else less."""
    shapes = {*drawn, *wanted}
    both = sum(min(drawn.get(shape, 0), wanted.get(shape, 0)) for shape in shapes)
    either = sum(max(drawn.get(shape, 0), wanted.get(shape, 0)) for shape in shapes)
    return both / either if either else 1.0
