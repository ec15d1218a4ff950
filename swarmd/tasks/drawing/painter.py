"""Paints grids. A question describes a painted grid, so every question has an answer."""

from __future__ import annotations

from collections.abc import Sequence

from swarmd.tasks.chance import Chance
from swarmd.tasks.drawing.grid import EMPTY, Grid
from swarmd.tasks.drawing.shapes import SHAPES, Cells, neighbours

_TRIES_PER_SHAPE = 20  # to find a free position; a crowded grid gets fewer shapes


def paint(chance: Chance, size: int, shapes: int, kinds: Sequence[str], colours: Sequence[str]) -> Grid:
    """Paint a grid of `size` rows and columns with one to `shapes` shapes. Kind and colour of each shape are
    drawn from `kinds` and `colours` (letters of the palette).

    Shapes of one colour share no side. All `kinds` must fit into the grid.
    """
    painted: dict[tuple[int, int], str] = {}
    for _ in range(shapes * _TRIES_PER_SHAPE):
        letter, form = chance.pick(colours), chance.pick(_forms(chance.pick(kinds), size))
        height, width = (1 + max(place[axis] for place in form) for axis in (0, 1))
        top, left = chance.between(0, size - height), chance.between(0, size - width)
        cells = frozenset((row + top, column + left) for row, column in form)
        if _is_free(cells, letter, painted):
            painted |= dict.fromkeys(cells, letter)
            shapes -= 1
        if shapes == 0:
            break
    return tuple("".join(painted.get((r, c), EMPTY) for c in range(size)) for r in range(size))


def fits(kind: str, size: int) -> bool:
    """Whether a shape of this kind fits into a grid of `size` rows and columns."""
    return bool(_forms(kind, size))


def _forms(kind: str, size: int) -> list[Cells]:
    return [form for form in SHAPES[kind] if all(max(cell) < size for cell in form)]


def _is_free(cells: Cells, letter: str, painted: dict[tuple[int, int], str]) -> bool:
    return not any(cell in painted for cell in cells) and not any(
        painted.get(beside) == letter for cell in cells for beside in neighbours(cell)
    )
