"""How much time a side task may take: a share of the time that a peer works."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeBudget:
    """The budget of one side task in one run. Its time starts when it is constructed."""

    def __init__(
        self, share: float, *, duty: float = 1.0, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`share`: of the time worked, 0..1. `duty`: the share of the time that this peer works."""
        self._share = share * duty
        self.monotonic = monotonic
        self._began = monotonic()
        self.spent_s = 0.0
        """Seconds used so far."""

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return self.monotonic() - self._began

    @property
    def share_spent(self) -> float:
        """Share of the time so far that was used, 0..1."""
        elapsed = self.elapsed_s
        return self.spent_s / elapsed if elapsed > 0 else 0.0

    def affords(self, seconds: float) -> bool:
        """Whether `seconds` more stay within the budget."""
        return self.spent_s + seconds <= self._share * self.elapsed_s
