"""Who works on what, when several processes share a results folder: a lock held on a directory.

The kernel drops the lock of a process that dies, so nothing is ever left claimed.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmd.storage.durable import disk_error

LOCK_FILE = "lock"


@contextmanager
def claimed(directory: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether `directory`, which is made if need be, is ours until the end of the block.

    `wait` until it is. Raises StorageError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK_FILE).open("a")
    except OSError as error:
        raise disk_error(f"write to {directory}", error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        except OSError as error:  # a network disk without locks
            raise disk_error(f"lock {directory}", error) from error
        else:
            yield True
