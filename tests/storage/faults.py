"""Faults of single files, and a disk that fails to read them, at the boundary to the operating system."""

from __future__ import annotations

import builtins
import errno
import hashlib
import io
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Flip one bit in the middle; in a database, one in the structure of its second page."""
    data = bytearray(path.read_bytes())
    data[SQLITE_PAGE if data.startswith(b"SQLite format 3") else len(data) // 2] ^= 1
    path.write_bytes(data)


def empty(path: Path) -> None:
    os.truncate(path, 0)


DAMAGE: Mapping[str, Callable[[Path], None]] = {
    "truncated": truncate,
    "flipped": flip,
    "empty": empty,
    "missing": Path.unlink,
}
SQLITE_PAGE = 4_096  # bytes

READ_ERRORS: Mapping[str, int] = {
    "unreadable": errno.EACCES,
    "EIO": errno.EIO,
    "EMFILE": errno.EMFILE,
    "ENOMEM": errno.ENOMEM,
    "ESTALE": errno.ESTALE,
}
FAULTS = (*DAMAGE, *READ_ERRORS)
_SQLITE = {errno.EACCES: sqlite3.SQLITE_CANTOPEN, errno.EMFILE: sqlite3.SQLITE_CANTOPEN}


@contextmanager
def refusing(path: Path, code: int) -> Iterator[None]:
    """Opening `path` fails with this errno through Python, and through SQLite with SQLite's own message."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
            patch.setattr(module, name, _refuse(getattr(module, name), path, code))
        real = sqlite3.connect

        def connect(database: Any, *args: Any, **kwargs: Any) -> sqlite3.Connection:
            if str(path).removesuffix("-wal") in str(database):
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = _SQLITE.get(code, sqlite3.SQLITE_IOERR)
                raise error
            return real(database, *args, **kwargs)

        patch.setattr(sqlite3, "connect", connect)
        yield


def _refuse(real: Callable[..., Any], path: Path, code: int) -> Callable[..., Any]:
    def open_(file: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(file, int) and Path(os.fsdecode(file)) == path:
            raise OSError(code, os.strerror(code), str(path))
        return real(file, *args, **kwargs)

    return open_


def contents(home: Path) -> dict[str, str]:
    """Hashes of all files that are not empty, by name: wherever they are later, none of them was deleted."""
    return {
        path.relative_to(home).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.rglob("*")
        if path.is_file() and path.stat().st_size
    }


def lost(before: Mapping[str, str], home: Path) -> set[str]:
    """Names of the files whose content is no longer anywhere."""
    now = set(contents(home).values())
    return {name for name, content in before.items() if content not in now}
