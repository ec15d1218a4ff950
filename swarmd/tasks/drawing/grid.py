"""Reads and writes a grid as text, and finds the shapes on it. Pure.

R R - -      One line of text per row and one letter per cell (spaced here only for readability).
R R - B      Cells of one colour that share a side are connected. Touching corners do not connect cells.
- - - B
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from swarmd.tasks.drawing.shapes import LINE_MAX, Cells, kind_of, neighbours

PALETTE = {"R": "red", "G": "green", "B": "blue", "Y": "yellow"}
EMPTY = "-"  # so a grid is only words and signs, which evaluate to nothing: it is scored even without seccomp
LETTERS = frozenset((*PALETTE, EMPTY))

Grid = tuple[str, ...]
"""Rows of equal length, of `LETTERS`."""

Shape = tuple[str, str | None]
"""(colour, kind). The kind is None if the connected cells form no known shape."""


def read_grid(text: str, size: int) -> Grid | None:
    """`text` as a grid of `size` rows and columns; None if it is not one."""
    if len(text) != size * (size + 1) - 1:
        return None
    rows = tuple(text.split("\n"))
    return rows if len(rows) == size and all(len(r) == size and LETTERS.issuperset(r) for r in rows) else None


def read_square(text: str) -> Grid | None:
    """`text` as a square grid of any size up to `LINE_MAX`; None if it is not one."""
    size = text.count("\n") + 1
    return read_grid(text, size) if 2 <= size <= LINE_MAX else None


def write_grid(grid: Grid) -> str:
    """The grid as text, the inverse of `read_grid`."""
    return "\n".join(grid)


def shapes_on(grid: Grid) -> Counter[Shape]:
    """Count the shapes on the grid, by colour and kind."""
    left = {(r, c): letter for r, row in enumerate(grid) for c, letter in enumerate(row) if letter != EMPTY}
    found: Counter[Shape] = Counter()
    while left:
        cell, letter = next(iter(left.items()))
        found[PALETTE[letter], kind_of(_component(cell, letter, left))] += 1
    return found


def _component(start: tuple[int, int], letter: str, left: dict[tuple[int, int], str]) -> Cells:
    """The cells with this letter that are connected to `start`. Removes them from `left`."""
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
    """The number of shapes in both, divided by the number in either; 1 if they are equal."""
    shapes = {*drawn, *wanted}
    both = sum(min(drawn.get(shape, 0), wanted.get(shape, 0)) for shape in shapes)
    either = sum(max(drawn.get(shape, 0), wanted.get(shape, 0)) for shape in shapes)
    return both / either if either else 1.0
