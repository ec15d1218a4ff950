"""Writes the events of the daemon to the home's database, from where `swarmd events` reads them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from swarmd.observe import EventLog

if TYPE_CHECKING:
    from swarmd.storage import Database

KEEP_EVERY_S = 1.0
"""Between two writes: `swarmd events -f` is that late, and a kill loses no more. The log holds 256."""


async def keep_events(events: EventLog, database: Database) -> None:
    """Until cancelled, and once more then. Raises StorageError."""
    last = 0
    try:
        while True:
            last = _keep(events, database, last)
            await asyncio.sleep(KEEP_EVERY_S)
    finally:
        _keep(events, database, last)


def _keep(events: EventLog, database: Database, last: int) -> int:
    """Write the events after number `last`; returns the number of the newest."""
    fresh = events.since(last)
    if fresh:
        database.happenings.add([(event.at, event.name, event.level, event.fields) for event in fresh])
    return fresh[-1].number if fresh else last
