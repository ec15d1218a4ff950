"""Limits pulls to what the trainer can use, with a token bucket.

Rounds can last 15 s while steps take 1 s, or the reverse. Only the trainer's pace matters.
"""

from __future__ import annotations

import math

from swarmd.gossip.limits import GossipLimits

STEP_S_MIN = 0.05  # no step is faster, and zero would make the rate infinite
LOOK_AHEAD_S = 5.0  # seconds of pulls for which candidates are collected in advance


class Allowance:
    """Allows `overpull` x J groups per step, and saves up at most that many."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._tokens = 0.0
        self._at: float | None = None
        self.per_second = 0.0
        self.burst = 0.0

    def demand(self, groups: int, step_seconds: float, now: float) -> None:
        """The trainer uses `groups` external groups every `step_seconds`. 0 groups: pull nothing."""
        self.refill(now)
        first = self.burst == 0.0
        self.burst = self._limits.overpull * max(0, groups)
        self.per_second = self.burst / max(STEP_S_MIN, step_seconds)
        self._tokens = self.burst if first else min(self._tokens, self.burst)

    def refill(self, now: float) -> None:
        if self._at is not None and now > self._at:
            self._tokens = min(self.burst, self._tokens + self.per_second * (now - self._at))
        self._at = now

    @property
    def ready(self) -> bool:
        return self._tokens >= 1.0

    def spend(self) -> None:
        """Spend one token. Call only when `ready`."""
        self._tokens -= 1.0

    def refund(self) -> None:
        """Return one token, because the pull brought nothing."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def seconds_to_next(self) -> float:
        """Seconds until a token is available; `math.inf` if there is no demand."""
        if self.ready:
            return 0.0
        return (1.0 - self._tokens) / self.per_second if self.per_second else math.inf

    def candidates_wanted(self) -> int:
        """Return how many candidates to collect: twice the pulls of LOOK_AHEAD_S, to leave a choice."""
        return int(2 * (self._tokens + self.per_second * LOOK_AHEAD_S) + 0.999)
