"""The source `pictures`: questions about small pictures, each answered by one word or number.

Only text is exchanged. Each peer draws the pictures itself from the seed, and their hash is part of the
question's digest.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from swarmd.quoting import quoted
from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import Pixels
from swarmd.tasks.pictures.chart import chart
from swarmd.tasks.pictures.counting import compare, count
from swarmd.tasks.pictures.differing import frames, odd
from swarmd.tasks.pictures.maze import maze
from swarmd.tasks.pictures.puzzle import Maker, Puzzle
from swarmd.tasks.source import BadOptionError, UnknownDatasetError
from swarmd.tasks.versions import PICTURES

DATASETS: dict[str, Maker] = {
    "count": count,
    "compare": compare,
    "chart": chart,
    "maze": maze,
    "odd": odd,
    "frames": frames,
}
_ANSWER_CHARS_MAX = 16  # the longest answer, "triangle", has 8


class Pictures:
    """The built-in source `pictures`."""

    version = PICTURES

    def datasets(self) -> Collection[str]:
        return list(DATASETS)

    def build(self, dataset: str, config: Mapping[str, Any]) -> PictureTask:
        """Build a task; no dataset has options. Raises UnknownDatasetError and BadOptionError."""
        if dataset not in DATASETS:
            raise UnknownDatasetError(
                f"pictures has no dataset {quoted(dataset)}; there is {', '.join(DATASETS)}"
            )
        for option in config:
            raise BadOptionError(f"{dataset} has no options: remove {quoted(option)}", option)
        return PictureTask(dataset, DATASETS[dataset])


class PictureTask:
    """Questions of one kind."""

    def __init__(self, name: str, make: Maker) -> None:
        self._name, self._make = name, make

    def question(self, seed: int, index: int) -> tuple[str, Puzzle]:
        puzzle = self._make(Chance("pictures", self._name, seed, index))
        return puzzle.text, puzzle

    def images(self, entry: Puzzle) -> tuple[Pixels, ...]:
        """The question's pictures."""
        return entry.pictures

    def hidden(self, entry: Puzzle) -> str:  # noqa: ARG002
        """Return nothing: text and pictures already distinguish the question from others."""
        return ""

    def admits(self, answer: str, entry: Puzzle) -> bool:  # noqa: ARG002
        """Admit a short word or a number."""
        return answer.isascii() and answer.isalnum() and len(answer) <= _ANSWER_CHARS_MAX

    def score(self, answer: str, entry: Puzzle) -> float:
        """1 for the right answer, ignoring case."""
        return float(answer.lower() == entry.answer)

    def is_bare(self, answer: str, entry: Puzzle) -> bool:
        return answer == entry.answer

    def expected(self, entry: Puzzle) -> str:
        return entry.answer
