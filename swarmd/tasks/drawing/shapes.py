"""Defines the shapes exactly: a set of cells is one of these shapes, or none."""

from __future__ import annotations

from collections.abc import Iterator

Cells = frozenset[tuple[int, int]]
"""(row, column) of each cell."""


def _block(height: int, width: int) -> Cells:
    return frozenset((row, column) for row in range(height) for column in range(width))


def _without_corners(size: int) -> Cells:
    corners = {(row, column) for row in (0, size - 1) for column in (0, size - 1)}
    return _block(size, size) - corners


LINE_MAX = 16  # as long as the largest grid

SHAPES: dict[str, tuple[Cells, ...]] = {
    "dot": (_block(1, 1),),
    "line": tuple(_block(*size) for n in range(2, LINE_MAX + 1) for size in ((1, n), (n, 1))),
    "square": tuple(_block(n, n) for n in (2, 3, 4)),
    "circle": tuple(map(_without_corners, (4, 5))),
    "cross": (_without_corners(3),),
}
"""The forms of each kind of shape, moved to row 0 and column 0."""

RULES = {
    "dot": "a dot is one cell",
    "line": "a line is one cell wide and two or more long, across or down",
    "square": "a square is filled, 2x2, 3x3 or 4x4",
    "circle": "a circle is a filled 4x4 or 5x5 without its four corners",
    "cross": "a cross is a filled 3x3 without its four corners",
}

_KIND_OF = {form: kind for kind, forms in SHAPES.items() for form in forms}


def kind_of(cells: Cells) -> str | None:
    """The kind of shape that `cells` form, at any position; None if they form none."""
    top, left = min(row for row, _ in cells), min(column for _, column in cells)
    return _KIND_OF.get(frozenset((row - top, column - left) for row, column in cells))


def neighbours(cell: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The four cells that share a side with `cell`."""
    row, column = cell
    yield from ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1))
