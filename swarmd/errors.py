"""The daemon's error tree. Each error's text names what was wrong and what to do.

    SwarmdError
    +-- ConfigError       the operator's: a flag, a file, an environment variable, a home
    +-- NetworkError      the transport's: a peer, a stream, the p2p process
    +-- TaskError         a task's: unknown dataset, bad options, a worker that cannot start
    +-- ModelError        the model's: unknown, unreachable, damaged
    |   +-- OutOfMemoryError  it needs more memory than there is
    +-- StorageError      the disk's: unwritable, corrupt
        +-- DiskFullError     passes once somebody frees space

Rejections of what peers send are `protocol.RejectedRecord`, not here: they are theirs, not ours.
The command line prints any of these as one message and exits nonzero; everything else is a bug
and ends the process with its traceback.
"""

from __future__ import annotations

import errno

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class SwarmdError(Exception):
    """Something a person can act on; the message says how."""


class ConfigError(SwarmdError):
    """A setting, flag, file or home of the operator's is wrong."""


class NetworkError(SwarmdError):
    """The transport failed in a way that is expected of networks."""


class TaskError(SwarmdError):
    """A task cannot be built or its worker cannot run."""


class ModelError(SwarmdError):
    """A model cannot be found, loaded or placed on the device."""


class OutOfMemoryError(ModelError):
    """The model, or what is asked of it, needs more memory than there is."""


class StorageError(SwarmdError):
    """The disk refused, or holds something corrupt."""


class DiskFullError(StorageError):
    """No space is left on the disk, or the user's quota is used up. Nothing is wrong with what is there."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether `error`, or an error that led to it, says that no space was left."""
    while error is not None:
        if isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in NO_SPACE):
            return True
        error = error.__cause__ or error.__context__
    return False
