"""The type shared by all questions about pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from swarmd.tasks.chance import Chance
from swarmd.tasks.pictures.canvas import Pixels


class Puzzle(NamedTuple):
    """A question about pictures with its one right answer."""

    text: str
    pictures: tuple[Pixels, ...]
    answer: str


Maker = Callable[[Chance], Puzzle]
