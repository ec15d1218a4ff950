"""Where a home's daemon is found, and where it keeps what lives only as long as it does.

    HOME/swarmd.sock             answers `swarmd status` and `swarmd health`
    TMPDIR/swarmd-DIGEST/        the runtime directory: sockets of p2pd, working directories of task workers,
                                 and the status socket of a home whose path is too long for a socket

Imports nothing heavy: `swarmd health` runs every few seconds.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.errors import ConfigError

TYPE_CHECKING = False  # as in `typing`, which takes `swarmd health` longer to load than all of this
if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_HOME = "~/.swarmd"
HOME_VARIABLE = "SWARMD_HOME"
OBSERVER_MARK = "members.db"
"""The file that only the home of `swarmd observe` has."""

SOCKET_PATH_BYTES_MAX = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux, including the final NUL (sys/un.h). Some servers bind
through a temporary name, so a few bytes are left over."""

LONGEST_SOCKET = "p2pclient-0123456789a.sock"
"""The longest name of a socket in the runtime directory."""


def socket_name(home: str) -> str:
    """The status socket: inside the home, or in the runtime directory if the home's path is too long."""
    inside = os.path.join(home, "swarmd.sock")
    if len(os.fsencode(inside)) <= SOCKET_PATH_BYTES_MAX:
        return inside
    return os.path.join(_runtime_name(home), "sock")


def socket_path(home: Path) -> Path:
    """The same as a Path."""
    from pathlib import Path

    return Path(socket_name(str(home)))


def runtime_path(home: Path) -> Path:
    """The runtime directory of `home`, an absolute path: its name follows from the home's."""
    from pathlib import Path

    return Path(_runtime_name(str(home)))


def _runtime_name(home: str) -> str:
    import hashlib
    import tempfile

    name = f"swarmd-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    try:
        directory = tempfile.gettempdir()
    except FileNotFoundError:  # it tries to write, and there is no space anywhere, or no right to
        directory = os.environ.get("TMPDIR", "/tmp")  # noqa: S108  made private below
    path = os.path.join(directory, name)
    fits = len(os.fsencode(os.path.join(path, LONGEST_SOCKET))) <= SOCKET_PATH_BYTES_MAX
    return path if fits else f"/tmp/{name}"  # noqa: S108  made private below


def told_devices(home: Path) -> str | None:
    """What to say of a home of `join --devices` where that of one peer is needed; None for another home."""
    parts = ("identity.key", "swarmd.db", "checkpoints", "records")  # also of a peer that lost its key
    try:
        devices = [
            each for each in (home / "devices").iterdir() if any((each / part).exists() for part in parts)
        ]
    except OSError:  # there is none, or nobody can tell
        return None
    if not devices:
        return None
    return f"{home} holds a home for each device: name one of them, such as --home {min(devices)}"


def make_runtime_directory(home: Path) -> Path:
    """Make the runtime directory, private, if it is not there. Raises ConfigError if it cannot be made, or if
    somebody else could put a socket there instead of ours."""
    path = runtime_path(home)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise ConfigError(
                f"{path} is not a private directory of this user; remove it, or choose another TMPDIR"
            ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made: {error.strerror}; choose another temporary directory with TMPDIR"
        ) from error
    return path


@contextmanager
def runtime_directory(home: Path) -> Iterator[Path]:
    """The runtime directory, empty at first and gone afterwards. Only for the holder of the home's lock: what
    is there was left by daemons that were killed."""
    import shutil

    path = make_runtime_directory(home)
    for left in path.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
