"""Simulated time: an event loop whose clock jumps to the next timer as soon as nothing is left to run.

Whole swarms over `MemoryNetwork` run through hours in milliseconds, in the same order every time. The loop
does not wait for threads, and its clock advances while they work, so use it only for coroutines.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH_S = 1_800_000_000.0
"""Unix seconds at which simulated time begins: January 2027, chosen arbitrarily."""


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An asyncio loop in simulated time. `loop.time()` starts at 0 s."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_JumpingSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.DefaultSelector):
    """Never blocks on a timer: polls for events and, if there are none, advances the clock to the timer."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            return super().select(None)
        ready = super().select(0)
        if not ready:
            self._advance(max(timeout, 0.0))
        return ready


def run_simulated(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to completion in simulated time."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(main)


def simulated_wall_clock() -> float:
    """Return the Unix time in seconds in the running simulated loop."""
    return EPOCH_S + asyncio.get_running_loop().time()
