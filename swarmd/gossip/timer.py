"""A pause before the next time. A timer is data: its owner checks whether it is due."""

from __future__ import annotations

import math


class Timer:
    """Due immediately when new, and again after each `pause`."""

    def __init__(self) -> None:
        self.at = -math.inf
        self._since = -math.inf

    def due(self, now: float) -> bool:
        """True when the pause is over, or if the clock jumped back so far that it would not end in time."""
        return now >= self.at or now < self._since

    def pause(self, now: float, seconds: float) -> None:
        self.at = now + seconds
        self._since = now

    def wake(self) -> None:
        """Be due immediately."""
        self.at = -math.inf
