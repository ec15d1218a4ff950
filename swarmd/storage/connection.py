"""One SQLite connection. Its disk errors become `StorageError`s with a remedy; other errors are bugs and
propagate.

Used from one thread. With WAL and synchronous=NORMAL, a killed process loses no committed transaction, a
power cut loses at most the latest ones, and neither corrupts the file.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swarmd.errors import NO_SPACE, DiskFullError, StorageError
from swarmd.storage.read_only import uri_of

BUSY_TIMEOUT_S = 5.0
"""Seconds to wait for a command that reads the database beside the daemon."""

WAL_BYTES_KEPT = 4 * 2**20
"""Bytes of the write-ahead log kept on disk after a checkpoint. SQLite's default has no limit."""

_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space and start again",
    sqlite3.SQLITE_IOERR: "the disk reports errors or is full; check it and start again",
    sqlite3.SQLITE_READONLY: "it is read-only; give this user write permission, or choose another --home",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check its permissions, or choose another --home",
    sqlite3.SQLITE_PERM: "permission denied; check its permissions, or choose another --home",
    sqlite3.SQLITE_BUSY: "another process keeps it locked; end that process and start again",
    sqlite3.SQLITE_CORRUPT: "it is damaged; start again to have it set aside and replaced",
    sqlite3.SQLITE_NOTADB: "it is damaged; start again to have it set aside and replaced",
}

_AS_WHEN_FULL = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
"""A full disk can also show as these if SQLite's shared memory has no room (SQLITE_IOERR_SHMSIZE)."""

SPACE_BYTES_MIN = 2**20
"""With less space than this, a lack of space is assumed to be the cause; opening alone needs 32 KiB."""

PROBE_BYTES = 32 * 1024
"""Bytes written to see whether the user's quota is full, which only a write shows: what opening needs."""

Row = tuple[Any, ...]


class CorruptDatabaseError(StorageError):
    """The file is no longer a database. A new one can replace it."""


_KINDS: dict[int, type[StorageError]] = {
    sqlite3.SQLITE_FULL: DiskFullError,
    sqlite3.SQLITE_CORRUPT: CorruptDatabaseError,
    sqlite3.SQLITE_NOTADB: CorruptDatabaseError,
}


def is_full(directory: Path) -> bool:
    """Whether the disk or the user's quota has no room for a database. Writes, and leaves nothing."""
    try:
        if shutil.disk_usage(directory).free < SPACE_BYTES_MIN:
            return True
        with tempfile.TemporaryFile(dir=directory) as probe:
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno in NO_SPACE
    return False


class Connection:
    """SQLite with explicit transactions and named disk errors."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or create the database file; with `read_only`, open it for one that may not write there.

        Raises StorageError.
        """
        self._path = path
        where = uri_of(path) if read_only else path
        with self._disk_errors():
            self._sqlite = sqlite3.connect(where, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=read_only)
        if read_only:
            return
        try:
            self.execute("PRAGMA journal_mode = WAL")
            self.execute("PRAGMA synchronous = NORMAL")
            self.execute(f"PRAGMA journal_size_limit = {WAL_BYTES_KEPT}")
            self.execute("PRAGMA foreign_keys = ON")
        except StorageError:
            self.close()
            raise

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return all of its rows."""
        with self._disk_errors():
            return self._sqlite.execute(sql, parameters).fetchall()

    def changed(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run one statement and return how many rows it inserted, updated or deleted."""
        with self._disk_errors():
            return self._sqlite.execute(sql, parameters).rowcount

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run a block as one transaction. A nested transaction is part of the outer one."""
        if self._sqlite.in_transaction:
            yield
            return
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            # SQLite has already rolled back after some disk errors.
            if self._sqlite.in_transaction:
                self._sqlite.rollback()
            raise

    def close(self) -> None:
        self._sqlite.close()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary code
            if code not in _REMEDIES:
                raise
            if code in _AS_WHEN_FULL and is_full(self._path.parent):
                code = sqlite3.SQLITE_FULL
            kind = _KINDS.get(code, StorageError)
            raise kind(f"the database {self._path} failed ({error}): {_REMEDIES[code]}") from error
