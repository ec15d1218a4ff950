"""Whether an answer is bare: nothing could be left out, and nothing could be spelled differently. Pure.

Verification covers only the score of an answer. If the scorer accepts `007` or `+7` for 7, the writer chose
the extra characters, and they can carry a payload. A task that knows its right answer says whether a text is
that answer. For any other task, an answer is bare if it is plainly spelled and every shorter variant tested
scores less.
"""

from __future__ import annotations

import re
import time
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

CHARS_MAX = 256
SCORINGS_MAX = 512  # per group: enough for one answer of `CHARS_MAX`, or a dozen of the usual length
CPU_S_MAX = 0.1  # per group; sixteen groups share a child that has 2 s

_BRACKETS = {")": "(", "]": "[", "}": "{"}
_NUMBER_SPELLED_OTHERWISE = re.compile(r"\d\.?[eE][+-]?\d|0[xXoObB]\w")  # two edits could cancel out
_UNEVEN_SPACE = re.compile(r"[^\S \n]|\s\s")


class Budget:
    """Limits the cost of testing one group's answers. Once it is spent, no further answer counts as bare."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        """`clock` gives the CPU time of this process in seconds."""
        self._clock = clock
        self._scorings = SCORINGS_MAX
        self._until: float | None = None

    def take(self) -> bool:
        """Spend one scoring and return whether the budget allowed it."""
        now = self._clock()
        if self._until is None:
            self._until = now + CPU_S_MAX
        self._scorings -= 1
        return self._scorings >= 0 and now < self._until


def is_tight(answer: str, worth: int, score: Callable[[str], int], budget: Budget) -> bool:
    """Whether `answer`, which scores `worth`, is plainly spelled and each of its `rivals` scores less."""
    return is_plain(answer) and all(budget.take() and score(rival) < worth for rival in rivals(answer))


def is_plain(answer: str) -> bool:
    """Whether `answer` is printable, has only single spaces, and no unusual form of a character or number."""
    return (
        len(answer) <= CHARS_MAX
        and unicodedata.normalize("NFKC", answer) == answer
        and all(c == "\n" or (c.isprintable() and (c.isascii() or not c.isnumeric())) for c in answer)
        and _UNEVEN_SPACE.search(answer) is None
        and _NUMBER_SPELLED_OTHERWISE.search(answer) is None
    )


def rivals(answer: str) -> Iterator[str]:
    """Yield `answer` with one part removed: a character, two neighbours, the first and last, or two brackets.

    If an answer has letters of both cases, its case-swapped form is a rival too. Spaces do not count as
    characters.
    """
    seen = [position for position, character in enumerate(answer) if not character.isspace()]
    parts = [*((position,) for position in seen), *pairwise(seen), *_pairs(answer)]
    if len(seen) > 2:
        parts.append((seen[0], seen[-1]))
    for part in dict.fromkeys(parts):
        yield "".join(c for position, c in enumerate(answer) if position not in part).strip()
    if answer not in (answer.lower(), answer.upper()):
        yield answer.swapcase()


def _pairs(answer: str) -> Iterator[tuple[int, int]]:
    """Yield the positions of each pair of matching brackets."""
    opened: list[int] = []
    for position, character in enumerate(answer):
        if character in _BRACKETS.values():
            opened.append(position)
        elif opened and answer[opened[-1]] == _BRACKETS.get(character):
            yield opened.pop(), position
