"""How many members the swarm had, over time: one row a minute in a database of the observer's own."""

from __future__ import annotations

from pathlib import Path

from swarmd.storage.connection import Connection

EVERY_S = 60.0  # between two counts: members come and go within minutes
ROWS_MAX = 43_200  # thirty days of minutes, 2 MiB
POINTS_MAX = 400  # of a curve: wider than most charts


class Members:
    """A bounded log of counts. Closes with `close`."""

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
        """The swarm has `here` members at `now` (Unix seconds)."""
        self._curve = None
        with self._connection.transaction():
            self._connection.execute("INSERT INTO members VALUES (?, ?)", (now, here))
            self._connection.execute(
                "DELETE FROM members WHERE rowid <= (SELECT MAX(rowid) FROM members) - ?", (ROWS_MAX,)
            )

    def curve(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """(times, the most members around each), oldest first, at most POINTS_MAX of each.

        Read anew after a count only: that takes tens of ms, and pages ask every second.
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
