"""How many groups may be pulled now: a token bucket filled by what the trainer uses.

Rounds may last 15 s while steps take 1 s, or the reverse. Only the trainer's own pace counts.
"""

from __future__ import annotations

import math

from swarmd.gossip.limits import GossipLimits

STEP_S_MIN = 0.05  # no step is faster; a zero would mean an endless rate
LOOK_AHEAD_S = 5.0  # seconds of pulls for which candidates are collected


class Allowance:
    """`overpull` x J groups per step, and no more than that many saved up."""

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
        """Take one; only while `ready`."""
        self._tokens -= 1.0

    def refund(self) -> None:
        """Give one back: the pull brought nothing."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def seconds_to_next(self) -> float:
        """Until there is one to spend; infinite without demand."""
        if self.ready:
            return 0.0
        return (1.0 - self._tokens) / self.per_second if self.per_second else math.inf

    def candidates_wanted(self) -> int:
        """Enough for the pulls of the next LOOK_AHEAD_S, twice over so that there is a choice."""
        return int(2 * (self._tokens + self.per_second * LOOK_AHEAD_S) + 0.999)
