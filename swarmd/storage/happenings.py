"""The newest events of this peer. `swarmd events` shows them, beside the daemon and after a restart."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from swarmd.errors import ConfigError
from swarmd.storage.connection import Connection, Row

EVENTS_MAX = 10_000
"""Events kept. A peer has about ten a minute, so this is about a day. At 300 bytes each they take 3 MiB."""

DEBUG_EVENTS_MAX = 2_000
"""Debug events kept in addition. They come every second and must not displace what people should read."""

SLACK = 0.01
"""Fraction by which a ring can exceed its bound before the oldest events are dropped, which takes 6 ms on
the event loop.
"""

EVENT_CHARACTERS_MAX = 4_000
"""Characters of one event's fields as JSON; longer ones are omitted, as peers choose some of the text."""


@dataclass(frozen=True)
class Happening:
    """One event. Numbers increase and are never reused."""

    number: int
    at: float
    """Unix time in seconds."""
    name: str
    level: str
    fields: Mapping[str, JsonValue]


class Happenings:
    """A ring buffer of events."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._untrimmed: dict[bool, int | None] = {False: None, True: None}
        """Debug or not -> events added since the last trim; None before the first."""

    def add(self, events: Sequence[tuple[float, str, str, Mapping[str, object]]]) -> None:
        """Add events, each as time, name, level and JSON fields. Drops the oldest ones."""
        with self._connection.transaction():
            for at, name, level, fields in events:
                text = json.dumps(dict(fields))
                kept = text if len(text) <= EVENT_CHARACTERS_MAX else '{"message": "too long to store"}'
                self._connection.execute(
                    "INSERT INTO events (at, name, level, fields) VALUES (?, ?, ?, ?)",
                    (at, name, level, kept),
                )
            for is_debug, kept_max in ((False, EVENTS_MAX), (True, DEBUG_EVENTS_MAX)):
                added = sum((level == "debug") == is_debug for _, _, level, _ in events)
                untrimmed = self._untrimmed[is_debug]
                if untrimmed is not None and untrimmed + added <= SLACK * kept_max:
                    self._untrimmed[is_debug] = untrimmed + added
                    continue
                self._untrimmed[is_debug] = 0
                self._connection.execute(
                    "DELETE FROM events WHERE id IN (SELECT id FROM events WHERE (level = 'debug') = ?"
                    " ORDER BY id DESC LIMIT -1 OFFSET ?)",
                    (is_debug, kept_max),
                )

    def newest(self, limit: int, levels: Sequence[str]) -> list[Happening]:
        """Return the newest `limit` events of these levels, oldest first."""
        rows = self._connection.execute(
            "SELECT id, at, name, level, fields FROM events"
            " WHERE level IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT ?",
            (json.dumps(levels), limit),
        )
        return [_happening(row) for row in reversed(rows)]

    def since(self, number: int, levels: Sequence[str]) -> list[Happening]:
        """Return the events of these levels after `number`, oldest first."""
        rows = self._connection.execute(
            "SELECT id, at, name, level, fields FROM events"
            " WHERE id > ? AND level IN (SELECT value FROM json_each(?)) ORDER BY id",
            (number, json.dumps(levels)),
        )
        return [_happening(row) for row in rows]


def _happening(row: Row) -> Happening:
    number, at, name, level, fields = row
    return Happening(number, at, name, level, json.loads(fields))


def open_happenings(path: Path) -> tuple[Connection, Happenings]:
    """Open the events in a home's database while a daemon writes them. The caller closes the connection.

    Raises ConfigError if there are none yet, and StorageError.
    """
    none_yet = ConfigError(f"{path.parent} has no events yet: `swarmd join` writes them")
    if not path.is_file():
        raise none_yet
    may_write = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    connection = Connection(path, read_only=not may_write)
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'events'"):
        connection.close()
        raise none_yet
    return connection, Happenings(connection)
