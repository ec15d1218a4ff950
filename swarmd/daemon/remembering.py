"""Write the daemon's events to the home's database, where `swarmd events` reads them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from swarmd.errors import StorageError
from swarmd.observe import EventLog

if TYPE_CHECKING:
    from swarmd.storage import Database

KEEP_EVERY_S = 1.0
"""Seconds between two writes: the delay of `swarmd events -f`, and the most that a kill loses. The log holds
256 events.
"""


RETRY_S = 60.0
"""Seconds until the next attempt after a failed write."""


async def keep_events(events: EventLog, database: Database) -> None:
    """Write events until cancelled, and once more on cancellation.

    A database that cannot be written is reported once and retried every minute. It does not stop the daemon,
    because this is only a log; parts that depend on the database raise their own errors.
    """
    last, warned = 0, False
    try:
        while True:
            try:
                last = _keep(events, database, last)
                pause = KEEP_EVERY_S
            except StorageError as error:
                pause = RETRY_S
                if not warned:
                    warned = True
                    events.emit(
                        "warning",
                        message=f"`swarmd events` is missing events, retrying every {RETRY_S:g} s: {error}",
                    )
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        with suppress(StorageError):
            _keep(events, database, last)
        raise


def _keep(events: EventLog, database: Database, last: int) -> int:
    """Write the events after number `last`. Returns the number of the newest. Raises StorageError."""
    fresh = events.since(last)
    if fresh:
        database.happenings.add([(event.at, event.name, event.level, event.fields) for event in fresh])
    return fresh[-1].number if fresh else last
