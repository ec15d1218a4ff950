"""A home's database for those who only look: beside a running daemon, and without leaving a file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def read_only(database: Path) -> Iterator[sqlite3.Connection]:
    """A connection that changes nothing, closed at the end. Raises sqlite3.DatabaseError."""
    with closing(sqlite3.connect(_uri(database), uri=True)) as connection:
        yield connection


def _uri(database: Path) -> str:
    """A reader of a database that nobody has open would make a log and leave it."""
    in_use = database.with_name(f"{database.name}-wal").exists()
    return f"{database.absolute().as_uri()}?{'mode=ro' if in_use else 'immutable=1'}"
