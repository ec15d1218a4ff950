"""An event loop without input, output and waiting, for coroutines in a process that may open nothing.

asyncio's own loop opens sockets to wake itself. Time goes by here only as far as the next timer asks, and at
once, so a coroutine's clock is the same on every peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from swarmd.tasks.outside.absent import NeedsError

Result = TypeVar("Result")


class StillLoop(asyncio.BaseEventLoop):
    """Runs what is ready, and jumps to the next timer when nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # where asyncio's loops wait

    def time(self) -> float:
        """Seconds that timers have asked for so far."""
        return self._now

    def select(self, timeout: float | None) -> list[object]:
        """Called when nothing is ready. Raises NeedsError without a timer: it would wait for ever."""
        if timeout is None:
            raise NeedsError("something outside, for which it waits")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""


def run_still(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`. Raises what it raises, also a BaseException."""
    loop = StillLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
