"""What a peer has learned: success on held-out questions at the start and now, and whether they differ.

Pure: answers in, numbers out. Before and after are compared on the same questions, each with itself. So luck
in which questions were asked cancels, and the interval of the difference is narrower than two separate ones.
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
    """Success over some sittings, with its 95 % Wilson interval."""

    first_step: int
    """Of the earliest sitting that counts."""
    step: int
    """Of the latest."""
    right: int
    questions: int

    @property
    def success(self) -> float:
        """Share of questions answered right, 0..1."""
        return self.right / self.questions

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of `success`."""
        return wilson_interval(self.right, self.questions)


@dataclass(frozen=True)
class Trend:
    """Success now minus success at the start, on the same questions."""

    since_step: int
    difference: float
    """-1..1."""
    interval: tuple[float, float]
    """95 % interval of `difference`."""
    questions: int
    """Asked both times."""

    @property
    def word(self) -> Word:
        """What the interval says."""
        low, high = self.interval
        return "learned" if low > 0 else "worse" if high < 0 else "not yet clear"


def measured(sittings: Sequence[Sitting], task: str | None = None) -> Measured | None:
    """All `sittings` together, of one task or of all; None without a question."""
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
    """How answers changed on the questions that were asked both times; None if none was asked again."""
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
    """Interval of a difference of two shares of the same questions (Agresti and Min 2005, Statistics in
    Medicine 24:729: Wald's with half a question added to each of the four cells).

    `gained`: wrong before and right after; `lost`: the reverse.
    """
    total = questions + 2
    changed, difference = gained + lost + 1, gained - lost
    half = z * math.sqrt(max(0.0, changed - difference * difference / total)) / total
    centre = difference / total
    return max(-1.0, centre - half), min(1.0, centre + half)


def tasks_of(sittings: Sequence[Sitting]) -> list[str]:
    """The tasks that were asked about, by name."""
    return sorted({name for sitting in sittings for name in sitting.right})


def counts(sittings: Sequence[Sitting]) -> Mapping[str, tuple[int, int]]:
    """Task -> (right, questions) over all `sittings`."""
    found = {name: [each for s in sittings for each in _answers(s, name)] for name in tasks_of(sittings)}
    return {name: (sum(rows), len(rows)) for name, rows in found.items()}


def _answers(sitting: Sitting, task: str | None) -> list[bool]:
    """In an order that depends on the questions alone."""
    if task is not None:
        return list(sitting.right.get(task, ()))
    return [right for name in sorted(sitting.right) for right in sitting.right[name]]
