"""The source `drawing`: draw a number of shapes in given colours, as a grid of letters.

Only text is exchanged, and the verifier counts the shapes drawn. The policy chooses where to put them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from swarmd.quoting import quoted
from swarmd.tasks.chance import Chance
from swarmd.tasks.drawing.grid import EMPTY, PALETTE, Grid, Shape, likeness, read_grid, shapes_on, write_grid
from swarmd.tasks.drawing.painter import fits, paint
from swarmd.tasks.drawing.shapes import LINE_MAX, RULES, SHAPES
from swarmd.tasks.options import check_names, whole, words
from swarmd.tasks.source import BadOptionError, UnknownDatasetError
from swarmd.tasks.versions import DRAWING

SIZE, SIZE_MIN, SIZE_MAX = 8, 2, LINE_MAX
SHAPES_COUNT, SHAPES_COUNT_MAX = 4, 12
_NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


class Drawing:
    """The built-in source `drawing`."""

    version = DRAWING

    def datasets(self) -> Collection[str]:
        return ["shapes"]

    def build(self, dataset: str, config: Mapping[str, Any]) -> DrawingTask:
        """Options: `size` of the grid, `shapes` (the largest number of them), `kinds` and `colours`.

        Raises UnknownDatasetError and BadOptionError.
        """
        if dataset != "shapes":
            raise UnknownDatasetError(f"drawing has no dataset {quoted(dataset)}; there is 'shapes'")
        check_names(dataset, config, ("size", "shapes", "kinds", "colours"))
        size = whole(dataset, config, "size", SIZE, SIZE_MIN, SIZE_MAX)
        shapes = whole(dataset, config, "shapes", SHAPES_COUNT, 1, SHAPES_COUNT_MAX)
        kinds = words(dataset, config, "kinds", ("square", "circle", "line"), SHAPES)
        colours = words(dataset, config, "colours", PALETTE.values(), PALETTE.values())
        for kind in kinds:
            if not fits(kind, size):
                raise BadOptionError(f"shapes: a {kind} does not fit into a grid of size {size}", "kinds")
        return DrawingTask(size, shapes, kinds, colours)


class Entry(NamedTuple):
    """A question and the data needed to score its answers."""

    wanted: Counter[Shape]
    painted: Grid
    """One of many right drawings."""


class DrawingTask:
    """Grids of one size, with shapes of certain kinds and colours."""

    def __init__(self, size: int, shapes: int, kinds: list[str], colours: list[str]) -> None:
        self._size, self._shapes, self._kinds, self._colours = size, shapes, kinds, colours
        self._letters = [letter for letter, colour in PALETTE.items() if colour in colours]

    def question(self, seed: int, index: int) -> tuple[str, Entry]:
        chance = Chance("shapes", self._size, seed, index)
        count = chance.between(1, self._shapes)
        painted = paint(chance, self._size, count, self._kinds, self._letters)
        wanted = shapes_on(painted)
        return self._text(chance, wanted), Entry(wanted, painted)

    def _text(self, chance: Chance, wanted: Counter[Shape]) -> str:
        phrases = [
            f"{_NUMBERS[count]} {colour} {kind}{_plural(str(kind), count)}"
            for (colour, kind), count in sorted(wanted.items(), key=str)
        ]
        letters = ", ".join(f"{letter} {PALETTE[letter]}" for letter in self._letters)
        rules = "; ".join(RULES[kind] for kind in self._kinds)
        return (
            f"Draw {_listed(chance.shuffled(phrases))} on a grid of {self._size} x {self._size} cells, "
            "and nothing else.\n"
            f"Write {self._size} lines of {self._size} letters: {letters}, {EMPTY} empty. "
            f"{rules[0].upper()}{rules[1:]}. Shapes of one colour must not touch side by side."
        )

    def score(self, answer: str, entry: Entry) -> float:
        grid = read_grid(answer, self._size)
        return 0.0 if grid is None else likeness(shapes_on(grid), entry.wanted)

    def is_bare(self, answer: str, entry: Entry) -> bool | None:
        """True for our own painting. None for any other, which may be right too if no shorter text is."""
        return True if answer == self.expected(entry) else None

    def expected(self, entry: Entry) -> str:
        return write_grid(entry.painted)


def _plural(kind: str, count: int) -> str:
    if count == 1:
        return ""
    return "es" if kind.endswith("s") else "s"


def _listed(phrases: list[str]) -> str:
    return phrases[0] if len(phrases) == 1 else f"{', '.join(phrases[:-1])} and {phrases[-1]}"
