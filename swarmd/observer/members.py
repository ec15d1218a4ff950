"""The number of members in the swarm over time: one row per minute in the observer's own database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from swarmd.storage.connection import Connection

EVERY_S = 60.0  # between two counts; members come and go within minutes
ROWS_MAX = 43_200  # thirty days of minutes, 2 MiB
POINTS_MAX = 400  # of a curve; more than most charts can show


class Members:
    """A bounded log of counts. Call `close` at the end."""

    def __init__(self, path: Path) -> None:
        """Open or create the file. Raises StorageError."""
        self._connection = Connection(path)
        self._curve: tuple[tuple[float, ...], tuple[int, ...]] | None = None
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS members (at REAL NOT NULL, here INTEGER NOT NULL)"
        )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def count(self, here: int, *, now: float) -> None:
        """Record that the swarm has `here` members at `now` (Unix seconds)."""
        self._curve = None
        with self._connection.transaction():
            self._connection.execute("INSERT INTO members VALUES (?, ?)", (now, here))
            self._connection.execute(
                "DELETE FROM members WHERE rowid <= (SELECT MAX(rowid) FROM members) - ?", (ROWS_MAX,)
            )

    def curve(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """Return (times, maximum number of members around each), oldest first, at most POINTS_MAX of each.

        Cached until the next count, because reading takes tens of ms and pages ask every second.
        """
        if self._curve is None:
            self._curve = self._read()
        return self._curve

    def _read(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        rows = self._connection.execute(
            "WITH bounds AS (SELECT MIN(rowid) AS first, MAX(rowid) - MIN(rowid) + 1 AS n FROM members)"
            " SELECT MAX(at), MAX(here) FROM members, bounds"
            " GROUP BY (rowid - first) * MIN(n, ?1) / n ORDER BY 1",
            (POINTS_MAX,),
        )
        return tuple(at for at, _ in rows), tuple(here for _, here in rows)


async def keep_counting(
    members: Members,
    here: Callable[[], int],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Count the members `here` every EVERY_S, until cancelled. The first count is not at once: an observer
    that has just started knows of nobody yet."""
    while True:
        await sleep(EVERY_S)
        members.count(here(), now=clock())
