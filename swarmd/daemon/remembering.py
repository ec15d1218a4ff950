"""Writes the events of the daemon to the home's database, from where `swarmd events` reads them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swarmd.errors import StorageError
from swarmd.observe import EventLog

if TYPE_CHECKING:
    from swarmd.storage import Database

KEEP_EVERY_S = 1.0
"""Between two writes: `swarmd events -f` is that late, and a kill loses no more. The log holds 256."""


async def keep_events(events: EventLog, database: Database) -> None:
    """Until cancelled, and once more then.

    A database that cannot be written ends it with a warning. It does not stop the daemon, as a log does not;
    what needs the database more says so itself.
    """
    last = 0
    try:
        try:
            while True:
                last = _keep(events, database, last)
                await asyncio.sleep(KEEP_EVERY_S)
        except asyncio.CancelledError:
            _keep(events, database, last)
            raise
    except StorageError as error:
        events.emit("warning", message=f"`swarmd events` shows no more events: {error}")


def _keep(events: EventLog, database: Database, last: int) -> int:
    """Write the events after number `last`; returns the number of the newest. Raises StorageError."""
    fresh = events.since(last)
    if fresh:
        database.happenings.add([(event.at, event.name, event.level, event.fields) for event in fresh])
    return fresh[-1].number if fresh else last
