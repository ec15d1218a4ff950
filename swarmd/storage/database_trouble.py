"""Finds out what keeps a home's database from being used. It only reads, also beside a running daemon.

If a killed process left a log, SQLite makes its index (`-shm`) again. The database and the log stay as they
are.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from swarmd.storage.connection import SPACE_BYTES_MIN
from swarmd.storage.database import SUFFIXES
from swarmd.storage.read_only import read_only
from swarmd.storage.schema import APPLICATION_ID, MIGRATIONS

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_NEW_ONE = "restore a backup, or start: the next start keeps it as damaged-swarmd.db and begins a new one"
_LOST = "restore a backup, or start without the totals, the ledger and the known peers"


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a database, and what to do."""

    what: str
    remedy: str
    is_damage: bool = False
    """Whether it is provably not what was written."""
    stops: bool = True
    """Whether a peer cannot start, or must stop."""


def trouble_of(path: Path) -> Trouble | None:
    """Return what keeps a peer from using the database at `path`, or None. Reads all of it once.

    Raises FileNotFoundError if there is none, and OSError if its directory cannot be read.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return Trouble("it is a symbolic link", "move the file itself there")
    if not stat.S_ISREG(found.st_mode):
        return Trouble("it is not a file", "move it away")
    return next(_forbidden(path), None) or trouble_in(path) or _space(path)


def _forbidden(path: Path) -> Iterator[Trouble]:
    """Yield what the file system forbids."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        yield Trouble(
            "its file system is read-only", "mount it for writing, or copy the home to another disk"
        )
    me, home = os.geteuid(), shlex.quote(str(path.parent))
    for file in (path, *(path.with_name(f"{path.name}{suffix}") for suffix in SUFFIXES), path.parent):
        try:
            owner = file.stat().st_uid
        except FileNotFoundError:
            continue
        if os.access(file, os.R_OK | os.W_OK):
            continue
        if owner == me:
            yield Trouble(
                f"this user may not read and write {file}", f"`chmod u+rw {shlex.quote(str(file))}`"
            )
        else:
            yield Trouble(
                f"{file} belongs to {_name(owner)}, and {_name(me)} may not write it",
                f"run swarmd as {_name(owner)}, or `sudo chown -R {_name(me)} {home}`",
            )


def trouble_in(path: Path, *, thorough: bool = False) -> Trouble | None:
    """Return what is wrong with the content of the database at `path`, or None. `thorough`: also compare its
    indices with its tables. Raises OSError.
    """
    check = "integrity_check" if thorough else "quick_check"
    if path.stat().st_size == 0:
        return Trouble("it is empty", _LOST, stops=False)
    try:
        with read_only(path) as sqlite:
            [(application,)] = sqlite.execute("PRAGMA application_id")
            [(version,)] = sqlite.execute("PRAGMA user_version")
            [(verdict,)] = sqlite.execute(f"PRAGMA {check}(1)")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            return Trouble(f"it is damaged ({error})", _NEW_ONE, is_damage=True, stops=False)
        return Trouble(f"it cannot be read ({error})", "check the disk, or restore a backup")
    if verdict != "ok":
        return Trouble(f"it is damaged ({' '.join(verdict.split())})", _NEW_ONE, is_damage=True, stops=False)
    if application != APPLICATION_ID:
        return Trouble("it is another program's database", "move it away, or use another --home")
    if version > len(MIGRATIONS):
        return Trouble(
            f"it was written by a newer swarmd: it has version {version}, and this one knows none above "
            f"{len(MIGRATIONS)}",
            "install the newer swarmd again, or restore a backup from before the update",
        )
    return None


def _space(path: Path) -> Trouble | None:
    if shutil.disk_usage(path).free >= SPACE_BYTES_MIN:
        return None
    return Trouble("no space is left on its file system", "free some space there")


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
