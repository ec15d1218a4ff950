"""What a node spends: seconds by phase, wall-clock and CPU, and the work it did in them, in units.

Seconds of two runs can only be compared if the machine was equally busy. Units do not depend on that. The
cost of a unit is computed from both (`reporting/pricing.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Phase = Literal["questions", "generating", "scoring", "publishing", "verifying", "training"]
PHASES: tuple[Phase, ...] = get_args(Phase)

Unit = Literal[
    "questions",
    "decoding_steps",
    "tokens_generated",
    "completions_scored",
    "records_signed",
    "records_verified",
    "updates",
    "tokens_trained_own",
    "tokens_trained_external",
    "tokens_trained_lessons",
    "rounds_asked",
    "rounds_scored",
    "rounds_published",
    "rounds_verified",
]
UNITS_OF: Mapping[Phase, tuple[Unit, ...]] = {
    "questions": ("rounds_asked", "questions"),
    "generating": ("decoding_steps", "tokens_generated"),
    "scoring": ("rounds_scored", "completions_scored"),
    "publishing": ("rounds_published", "records_signed"),
    "verifying": ("rounds_verified", "records_verified"),
    "training": ("updates", "tokens_trained_own", "tokens_trained_external", "tokens_trained_lessons"),
}
"""The units that the seconds of a phase grow with. The first one has a cost however little else is done: half
of the tokens, or of the questions, is more than half of the work.
"""
ROUNDS_WITH: Mapping[Unit, Unit] = {
    "rounds_asked": "questions",
    "rounds_scored": "completions_scored",
    "rounds_published": "records_signed",
    "rounds_verified": "records_verified",
}
"""The rounds in which a node did any of this work: a request to the sandboxed worker takes milliseconds, even
for one question. They are not recorded, because they follow from the other units.
"""
RECORDED: tuple[Unit, ...] = tuple(
    unit for units in UNITS_OF.values() for unit in units if unit not in ROUNDS_WITH
)
"""The units that a node's round is written with."""

Clock = Callable[[], float]


class Worker(Protocol):
    """The part of `swarmd.tasks.TaskRunner` that is needed."""

    cpu_s: float
    """CPU seconds that the sandboxed worker has used so far."""


@dataclass(frozen=True)
class Spent:
    """Seconds of one phase."""

    clock_s: float = 0.0
    cpu_s: float = 0.0
    """Of all threads of this process, and of the sandboxed worker."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.clock_s + other.clock_s, self.cpu_s + other.cpu_s)

    def times(self, factor: float) -> Spent:
        return Spent(self.clock_s * factor, self.cpu_s * factor)


class Meter:
    """Reads both clocks. One phase runs at a time in this process."""

    def __init__(
        self, worker: Worker, *, clock: Clock = time.perf_counter, cpu: Clock = time.process_time
    ) -> None:
        self._worker = worker
        self._clock = clock
        self._cpu = cpu
        self._last = self._now()

    def begin(self) -> None:
        """Start measuring. Earlier time belongs to no phase."""
        self._last = self._now()

    def lap(self) -> Spent:
        """Return what was spent since `begin`, or since the last lap."""
        now, last = self._now(), self._last
        self._last = now
        return Spent(now.clock_s - last.clock_s, now.cpu_s - last.cpu_s)

    def _now(self) -> Spent:
        return Spent(self._clock(), self._cpu() + self._worker.cpu_s)


def added(one: Mapping[Phase, Spent], other: Mapping[Phase, Spent]) -> dict[Phase, Spent]:
    """Add phase by phase."""
    return {
        phase: one.get(phase, Spent()) + other.get(phase, Spent())
        for phase in PHASES
        if phase in one or phase in other
    }
