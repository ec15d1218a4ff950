"""Detects when this machine slept or this process was suspended, since failures in that time are no peer's
fault.

A machine that sleeps stops its monotonic clock but not its wall clock. A suspended process or a blocked event
loop stops neither. Both clocks are therefore read. Setting the wall clock forward looks like a sleep, but
that costs only one check of the connections.
"""

from __future__ import annotations

from collections.abc import Callable

LOOK_S = 1.0
"""Maximum seconds between two checks while the event loop runs."""

PAUSE_S = 3.0
"""A check that is late by this many seconds indicates a pause. This is longer than the delays of a busy
machine, and than the time-out of one DHT message.
"""


class Pauses:
    """Counts the pauses of this process."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._looked = monotonic(), wall()
        self.times = 0
        self.last_s = 0.0
        """The length of the last pause in seconds."""

    def look(self) -> int:
        """Return how many pauses there have been so far. Call every LOOK_S."""
        before, self._looked = self._looked, (self._monotonic(), self._wall())
        gone = max(now - then for now, then in zip(self._looked, before, strict=True))
        if gone > LOOK_S + PAUSE_S:
            self.times += 1
            self.last_s = gone
        return self.times
