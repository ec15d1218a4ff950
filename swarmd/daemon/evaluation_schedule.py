"""When to evaluate: every so many steps if the operator says so, else as often as the time budget allows."""

from __future__ import annotations

import time
from collections.abc import Callable

from swarmd.daemon.time_budget import TimeBudget

TIME_SHARE = 0.02
"""Share of the time worked that evaluations may take, including the one of the untrained model."""

FIRST_S = 60.0
"""Seconds before the first evaluation of a run, whose cost is not known yet."""


class EvaluationSchedule:
    """The evaluations of one run. Its time starts when it is constructed."""

    def __init__(
        self, every: int | None, *, duty: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`every`: steps between evaluations; 0: never; None: as often as TIME_SHARE allows. `duty`: the
        share of the time that this peer works.
        """
        self._every = every
        self._budget = TimeBudget(TIME_SHARE, duty=duty, monotonic=monotonic)
        self._last: float | None = None

    @property
    def is_on(self) -> bool:
        """Whether this peer evaluates itself at all."""
        return self._every != 0

    @property
    def share(self) -> float | None:
        """Share of the time so far spent on evaluations, 0..1; None before the first."""
        return None if self._last is None else self._budget.share_spent

    def due(self, step: int) -> bool:
        """Whether to evaluate now, after `step`."""
        if self._every is not None:
            return self._every > 0 and step % self._every == 0
        if self._last is None:
            return self._budget.elapsed_s >= FIRST_S
        return self._budget.affords(self._last)

    def took(self, seconds: float, sittings: int = 1) -> None:
        """Note that `sittings` evaluations in a row have just taken `seconds`."""
        self._budget.spent_s += seconds
        self._last = seconds / sittings
