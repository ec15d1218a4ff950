"""Did this machine sleep, or this process stand still? Then what failed meanwhile is nobody else's fault.

A machine that sleeps stops its monotonic clock but not its wall clock. A process that is stopped, or an event
loop that is held up, stops neither. So both clocks are read. A wall clock that is set forward looks like a
sleep, and costs no more than a look at the connections.
"""

from __future__ import annotations

from collections.abc import Callable

LOOK_S = 1.0
"""Seconds between two looks at most, while the event loop runs."""

PAUSE_S = 3.0
"""A look that comes this many seconds late shows a pause: longer than a busy machine takes, and than the
time-out of one DHT message."""


class Pauses:
    """Counts the pauses of this process."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._looked = monotonic(), wall()
        self.times = 0
        self.last_s = 0.0
        """Length of the last one, in seconds."""

    def look(self) -> int:
        """How many pauses there have been until now. Call it every LOOK_S."""
        before, self._looked = self._looked, (self._monotonic(), self._wall())
        gone = max(now - then for now, then in zip(self._looked, before, strict=True))
        if gone > LOOK_S + PAUSE_S:
            self.times += 1
            self.last_s = gone
        return self.times
