"""Writes files completely or not at all, sets damaged ones aside, and turns disk errors into sentences.

After a kill, a file has either its old content or its new content, never part of it. Damaged files are
renamed, never deleted, because only their owner knows what they are worth.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from swarmd.errors import DiskFullError, StorageError, is_disk_full

Report = Callable[[str], None]
"""Receives one sentence about a disk problem that was handled."""

DAMAGED = "damaged-"
"""Prefix of files set aside because their content is provably not what was written."""

FORMER = "former-"
"""Prefix of files set aside because they belong to a former peer of this home."""

HOME, FILE, OUT = "another --home", "another file", "another --out"
"""What to choose if the one that was given cannot be used."""

_PERMIT = "give this user read and write permission there, or choose {instead}"
_REMEDIES = {
    errno.ENOSPC: "free some space on that disk and start again",
    errno.EDQUOT: "the user's disk quota is used up: free some of it and start again",
    errno.EFBIG: "the system's file size limit is too low: raise it (ulimit -f) and start again",
    errno.EROFS: "the file system is read-only: choose {instead}",
    errno.EACCES: _PERMIT,
    errno.EPERM: _PERMIT,
    errno.EISDIR: "choose {instead}",
    errno.ENAMETOOLONG: "choose {instead}",
    errno.EIO: "the disk reports hardware errors: check it and restore from a backup",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n) and start again",
    errno.ENFILE: "this machine has too many files open: end some programs and start again",
    errno.ENOMEM: "the machine is short of memory: end some programs and start again",
    errno.ESTALE: "the network file system lost the file: mount it again and start again",
}


def log_problem(problem: str) -> None:
    """The default `Report`: log a warning."""
    logging.getLogger("swarmd.storage").warning(problem)


def remedy(error: OSError, instead: str = HOME) -> str:
    """Return the cause and remedy of a disk error, as the end of a sentence.

    `instead`: what else the user can choose, such as `FILE` for a file that is not in a home.
    """
    cause = os.strerror(error.errno) if error.errno else str(error)
    advice = _REMEDIES.get(error.errno or 0, "check the path and the disk and start again")
    return f"{cause[:1].lower()}{cause[1:]}; {advice.format(instead=instead)}"


def disk_error(doing: str, error: OSError, instead: str = HOME) -> StorageError:
    """Return a StorageError, for a full disk a DiskFullError. `doing` completes "cannot ...", such as "save
    the checkpoint /home/x/.swarmd/checkpoints/7". `instead`: see `remedy`.
    """
    kind = DiskFullError if is_disk_full(error) else StorageError
    return kind(f"cannot {doing}: {remedy(error, instead)}")


def flush_to_disk(path: Path) -> None:
    """fsync a file, or a directory so that the names in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes, *, mode: int = 0o600, beside: str = ".writing") -> None:
    """Write `data` to `path` via a temporary file next to it, fsync and rename. One writer at a time per
    directory.

    The temporary file always has the same name, so a killed writer leaves at most one, which the next write
    replaces. A second writer in the same directory must pass a different `beside`. Raises OSError; `path` is
    then unchanged.
    """
    written = path.with_name(beside)
    written.unlink(missing_ok=True)
    try:
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        written.replace(path)
    except OSError:
        with suppress(OSError):  # the first error is the cause
            written.unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def set_aside(path: Path, prefix: str = DAMAGED, *, with_suffixes: tuple[str, ...] = ()) -> Path:
    """Rename `path` with `prefix`, adding `.2` and so on if the name is taken. Return the new path.

    Associated files such as `-wal` keep their suffix after the new name. They are moved first, so that after
    a kill in between the main file is set aside again. Raises OSError.
    """
    aside = next(place for place in _places(path, prefix) if not os.path.lexists(place))
    for suffix in (*with_suffixes, ""):
        source = path.with_name(path.name + suffix)
        if os.path.lexists(source):
            source.rename(aside.with_name(aside.name + suffix))
    flush_to_disk(path.parent)
    return aside


def _places(path: Path, prefix: str) -> Iterator[Path]:
    yield path.with_name(f"{prefix}{path.name}")
    for number in count(2):
        yield path.with_name(f"{prefix}{path.name}.{number}")
