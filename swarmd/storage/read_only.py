"""Read-only access to a home's database, beside a running daemon and without leaving files behind."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def read_only(database: Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection, closed when the block exits. Raises sqlite3.DatabaseError."""
    with closing(sqlite3.connect(uri_of(database), uri=True)) as connection:
        yield connection


def uri_of(database: Path) -> str:
    """Return the URI of a read-only connection. Without `immutable`, reading a database that is not open
    would leave a log.
    """
    in_use = database.with_name(f"{database.name}-wal").exists()
    return f"{database.absolute().as_uri()}?mode=ro{'' if in_use else '&immutable=1'}"
