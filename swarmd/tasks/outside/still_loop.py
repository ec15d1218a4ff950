"""An event loop without I/O or waiting, for coroutines in a process that cannot open anything.

asyncio's own loop opens sockets to wake itself. Time here advances only to the next timer, and immediately,
so a coroutine sees the same clock on every peer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from swarmd.tasks.outside.absent import NeedsError

Result = TypeVar("Result")


class StillLoop(asyncio.BaseEventLoop):
    """Runs whatever is ready, and jumps to the next timer when nothing is."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = self  # the object on which asyncio's loops wait

    def time(self) -> float:
        """Simulated seconds: the sum of all timer delays so far."""
        return self._now

    def select(self, timeout: float | None) -> list[object]:
        """Called when nothing is ready. Raises NeedsError if there is no timer, because it would wait
        forever."""
        if timeout is None:
            raise NeedsError("something outside the process to wait for")
        self._now += timeout
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """Do nothing: there are no events."""


def run_still(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`. Raises whatever it raises, including a BaseException."""
    loop = StillLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()
