"""Draws shapes and blocks on small pictures with integer arithmetic: the same pixels on every machine.

A picture is 32 x 32 pixels: 4 x 4 cells of 8 x 8. A shape fills one cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from swarmd.tasks.chance import Chance

SIDE, CELL = 32, 8
CELLS = SIDE // CELL
PLACES = tuple((row, column) for row in range(CELLS) for column in range(CELLS))

BACKGROUND = (20, 20, 28)
COLOURS = {
    "red": (226, 52, 52),
    "green": (52, 178, 72),
    "blue": (64, 96, 232),
    "yellow": (240, 208, 56),
}
KINDS = {
    "square": "........ .######. .######. .######. .######. .######. .######. ........",
    "circle": "........ ..####.. .######. .######. .######. .######. ..####.. ........",
    "triangle": "........ ...##... ...##... ..####.. ..####.. .######. .######. ........",
    "cross": "........ ...##... ...##... .######. .######. ...##... ...##... ........",
}
_STAMPS = {
    kind: numpy.array([[dot == "#" for dot in row] for row in rows.split()]) for kind, rows in KINDS.items()
}

Pixels = NDArray[numpy.uint8]
"""[height, width, 3]"""
Place = tuple[int, int]
"""Row and column of a cell."""


class Thing(NamedTuple):
    """A shape with its colour."""

    colour: str
    kind: str


def blank() -> Pixels:
    """An empty picture."""
    return numpy.full((SIDE, SIDE, 3), BACKGROUND, dtype=numpy.uint8)


def picture_of(things: dict[Place, Thing]) -> Pixels:
    """A picture with the given things in its cells."""
    pixels = blank()
    for (row, column), thing in things.items():
        cell = pixels[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL]
        cell[_STAMPS[thing.kind]] = COLOURS[thing.colour]
    return pixels


def fill(pixels: Pixels, top: int, left: int, height: int, width: int, colour: tuple[int, int, int]) -> None:
    """Fill a block of pixels with a colour."""
    pixels[top : top + height, left : left + width] = colour


def any_thing(chance: Chance) -> Thing:
    """A random shape in a random colour."""
    return Thing(chance.pick(tuple(COLOURS)), chance.pick(tuple(KINDS)))
