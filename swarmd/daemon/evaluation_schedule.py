"""When to evaluate: after every so many steps if the operator says so, else as often as the time allows."""

from __future__ import annotations

import time
from collections.abc import Callable

TIME_SHARE = 0.02
"""Share of the time worked that evaluations may take, the one of the untrained model included."""

FIRST_S = 60.0
"""Before the first evaluation of a run that has no cost to go by."""


class EvaluationSchedule:
    """The evaluations of one run. Time counts from here."""

    def __init__(
        self, every: int | None, *, duty: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`every`: steps between evaluations; 0: none; None: as often as TIME_SHARE allows. `duty`: the share
        of the time that this peer works."""
        self._every = every
        self._share = TIME_SHARE * duty
        self._monotonic = monotonic
        self._began = monotonic()
        self._spent = 0.0
        self._last: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether this peer evaluates itself at all."""
        return self._every != 0

    @property
    def share(self) -> float | None:
        """Share of the time so far that evaluations took, 0..1; None before the first."""
        elapsed = self._monotonic() - self._began
        return None if self._last is None or elapsed <= 0 else self._spent / elapsed

    def due(self, step: int) -> bool:
        """Whether to evaluate now, after `step`."""
        if self._every is not None:
            return self._every > 0 and step % self._every == 0
        elapsed = self._monotonic() - self._began
        if self._last is None:
            return elapsed >= FIRST_S
        return self._spent + self._last <= self._share * elapsed

    def took(self, seconds: float, sittings: int = 1) -> None:
        """Note that `sittings` evaluations in a row have just taken `seconds`."""
        self._spent += seconds
        self._last = seconds / sittings
