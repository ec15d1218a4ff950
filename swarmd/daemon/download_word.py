"""Report the progress of a model download: in the phase every second, in the log every ten seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict

from swarmd.model import Downloaded
from swarmd.observe import EventLog
from swarmd.observe.words import downloading

LOOK_EVERY_S = 1.0
LOG_EVERY_S = 10.0
"""Seconds. Some hundred lines for a model that takes a quarter of an hour."""


class DownloadWord:
    """The download threads call `heard`; everything else runs on the event loop."""

    def __init__(self, events: EventLog, *, after: str, clock: Callable[[], float]) -> None:
        """`after` is the phase to enter once a download is over. `clock` is monotonic, in seconds."""
        self._events = events
        self._after = after
        self._clock = clock
        self._newest: Downloaded | None = None
        self._told: Downloaded | None = None
        self._log_at = clock()

    def heard(self, newest: Downloaded | None) -> None:
        self._newest = newest

    async def keep_telling(self) -> None:
        """Report every second, until cancelled."""
        while True:
            self.tell()
            await asyncio.sleep(LOOK_EVERY_S)

    def tell(self) -> None:
        """Report progress made since the last call."""
        newest, before = self._newest, self._told
        if newest == before:
            return
        self._told = newest
        if newest is None:
            self._events.emit("phase", name=self._after)
            return
        self._events.emit("phase", name=downloading(newest.model, newest.done, newest.total))
        if before is None or self._clock() >= self._log_at:
            self._log_at = self._clock() + LOG_EVERY_S
            self._events.emit("downloading", **asdict(newest))
