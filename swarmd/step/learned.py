"""What a peer has learned: its held-out success at the start and now, and whether the two differ.

Pure: answers in, numbers out. The comparison is paired: each question is compared with itself. The difficulty
of the drawn questions cancels, so the interval of the difference is narrower than two separate intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from swarmd.step.evaluation import Z_95, wilson_interval
from swarmd.storage.held_out import Sitting

Word = Literal["learned", "not yet clear", "worse"]


@dataclass(frozen=True)
class Measured:
    """Success over some sittings, with its 95% Wilson interval."""

    first_step: int
    """Step of the earliest sitting included."""
    step: int
    """Step of the latest sitting included."""
    right: int
    questions: int

    @property
    def success(self) -> float:
        """Share of questions answered right, 0..1."""
        return self.right / self.questions

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of `success`."""
        return wilson_interval(self.right, self.questions)


@dataclass(frozen=True)
class Trend:
    """Success now minus success at the start, on the same questions."""

    since_step: int
    difference: float
    """-1..1."""
    interval: tuple[float, float]
    """95% interval of `difference`."""
    questions: int
    """Number of questions asked both times."""

    @property
    def word(self) -> Word:
        """The verdict that follows from the interval."""
        low, high = self.interval
        return "learned" if low > 0 else "worse" if high < 0 else "not yet clear"


def measured(sittings: Sequence[Sitting], task: str | None = None) -> Measured | None:
    """All `sittings` combined, for one task or for all; None if they have no questions."""
    rows = [right for sitting in sittings for right in _answers(sitting, task)]
    if not rows:
        return None
    return Measured(
        first_step=min(sitting.step for sitting in sittings),
        step=max(sitting.step for sitting in sittings),
        right=sum(rows),
        questions=len(rows),
    )


def trend(before: Sequence[Sitting], now: Sequence[Sitting], task: str | None = None) -> Trend | None:
    """How the answers changed on questions asked both times; None if no question was asked twice."""
    firsts = {(sitting.part, sitting.asked): sitting for sitting in before}
    pairs = [
        (first, sitting)
        for sitting in now
        if (first := firsts.get((sitting.part, sitting.asked))) and first.step < sitting.step
    ]
    answers = [
        pair
        for first, sitting in pairs
        for pair in zip(_answers(first, task), _answers(sitting, task), strict=True)
    ]
    if not answers:
        return None
    gained = sum(after and not was for was, after in answers)
    lost = sum(was and not after for was, after in answers)
    return Trend(
        since_step=min(first.step for first, _ in pairs),
        difference=(gained - lost) / len(answers),
        interval=paired_interval(gained, lost, len(answers)),
        questions=len(answers),
    )


def paired_interval(gained: int, lost: int, questions: int, z: float = Z_95) -> tuple[float, float]:
    """Interval of a difference between two shares of the same questions (Agresti and Min 2005, Statistics in
    Medicine 24:729: Wald's interval with half a question added to each of the four cells).

    `gained`: wrong before and right after; `lost`: the reverse.
    """
    total = questions + 2
    changed, difference = gained + lost + 1, gained - lost
    half = z * math.sqrt(max(0.0, changed - difference * difference / total)) / total
    centre = difference / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def tasks_of(sittings: Sequence[Sitting]) -> list[str]:
    """The names of the tasks with questions."""
    return sorted({name for sitting in sittings for name in sitting.right})


def counts(sittings: Sequence[Sitting]) -> Mapping[str, tuple[int, int]]:
    """Task -> (right, questions) over all `sittings`."""
    found = {name: [each for s in sittings for each in _answers(s, name)] for name in tasks_of(sittings)}
    return {name: (sum(rows), len(rows)) for name, rows in found.items()}


def _answers(sitting: Sitting, task: str | None) -> list[bool]:
    """The results in an order that depends only on the questions."""
    if task is not None:
        return list(sitting.right.get(task, ()))
    return [right for name in sorted(sitting.right) for right in sitting.right[name]]
