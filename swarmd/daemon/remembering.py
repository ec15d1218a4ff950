"""Writes the events of the daemon to the home's database, from where `swarmd events` reads them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from swarmd.errors import StorageError
from swarmd.observe import EventLog

if TYPE_CHECKING:
    from swarmd.storage import Database

KEEP_EVERY_S = 1.0
"""Between two writes: `swarmd events -f` is that late, and a kill loses no more. The log holds 256."""


RETRY_S = 60.0
"""Until the next try to write to a database that could not be written."""


async def keep_events(events: EventLog, database: Database) -> None:
    """Until cancelled, and once more then.

    A database that cannot be written is told once, and tried again every minute. It does not stop the daemon,
    as a log does not; what needs the database more says so itself.
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
                        message=f"`swarmd events` misses events, tried again every {RETRY_S:g} s: {error}",
                    )
            await asyncio.sleep(pause)
    except asyncio.CancelledError:
        with suppress(StorageError):
            _keep(events, database, last)
        raise


def _keep(events: EventLog, database: Database, last: int) -> int:
    """Write the events after number `last`; returns the number of the newest. Raises StorageError."""
    fresh = events.since(last)
    if fresh:
        database.happenings.add([(event.at, event.name, event.level, event.fields) for event in fresh])
    return fresh[-1].number if fresh else last
