"""Whether an answer holds nothing that its writer could have left out or spelled otherwise. Pure.

Only what an answer is worth is verified. Where the scorer takes `007` or `+7` for 7, the rest is its writer's
choice, and so may be a payload. A task that knows its right answer says whether a text is it. Of other tasks
an answer is bare if it is spelled plainly and everything shorter that is tried in its place scores less.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

CHARS_MAX = 256
SCORINGS_MAX = 512  # of a group: one answer of `CHARS_MAX`, or a dozen of the usual length
CPU_S_MAX = 0.1  # of a group; sixteen groups share a child that has 2 s

_BRACKETS = {")": "(", "]": "[", "}": "{"}
_NUMBER_SPELLED_OTHERWISE = re.compile(r"\d\.?[eE][+-]?\d|0[xXoObB]\w")  # a pair of changes leaves its value
_UNEVEN_SPACE = re.compile(r"[^\S \n]|\s\s")


class Budget:
    """What the trials on one group's answers may cost. Beyond it, no answer is found to be bare."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        """`clock` tells the seconds of CPU time of this process."""
        self._clock = clock
        self._scorings = SCORINGS_MAX
        self._until: float | None = None

    def take(self) -> bool:
        """Whether one more scoring may be made."""
        now = self._clock()
        if self._until is None:
            self._until = now + CPU_S_MAX
        self._scorings -= 1
        return self._scorings >= 0 and now < self._until


def is_tight(answer: str, worth: int, score: Callable[[str], int], budget: Budget) -> bool:
    """Whether `answer`, which scores `worth`, is spelled plainly and each of its `rivals` scores less."""
    return is_plain(answer) and all(budget.take() and score(rival) < worth for rival in rivals(answer))


def is_plain(answer: str) -> bool:
    """Whether it is printable, with single spaces, and with no second form of a character or of a number."""
    return (
        len(answer) <= CHARS_MAX
        and unicodedata.normalize("NFKC", answer) == answer
        and all(c == "\n" or (c.isprintable() and (c.isascii() or not c.isnumeric())) for c in answer)
        and _UNEVEN_SPACE.search(answer) is None
        and _NUMBER_SPELLED_OTHERWISE.search(answer) is None
    )


def rivals(answer: str) -> Iterator[str]:
    """`answer` without each character, each two neighbours, the first and the last, each pair of brackets;
    and, where its letters are of both cases, with the other case. Space does not count as a character."""
    seen = [place for place, character in enumerate(answer) if not character.isspace()]
    parts = [*((place,) for place in seen), *pairwise(seen), *_pairs(answer)]
    if len(seen) > 2:
        parts.append((seen[0], seen[-1]))
    for part in dict.fromkeys(parts):
        yield "".join(c for place, c in enumerate(answer) if place not in part).strip()
    if answer not in (answer.lower(), answer.upper()):
        yield answer.swapcase()


def _pairs(answer: str) -> Iterator[tuple[int, int]]:
    """Where brackets stand that belong together."""
    opened: list[int] = []
    for place, character in enumerate(answer):
        if character in _BRACKETS.values():
            opened.append(place)
        elif opened and answer[opened[-1]] == _BRACKETS.get(character):
            yield opened.pop(), place
