"""Where a home's daemon is found and keeps what only lives as long as it does. Imports nothing heavy:
`swarmd health` runs every few seconds.

    HOME/swarmd.sock             answers `swarmd status` and `swarmd health`
    TMPDIR/swarmd-DIGEST/        the runtime directory: sockets of p2pd, working directories of task workers,
                                 and the status socket of a home too deep for a socket's name
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

SOCKET_PATH_BYTES_MAX = 100
"""sun_path holds 104 bytes on macOS and 108 on Linux, the final NUL included (sys/un.h); binding goes
through a temporary name on some servers, so a few bytes are left over."""

LONGEST_SOCKET = "p2pclient-0123456789a.sock"
"""Of what is put into the runtime directory."""


def socket_name(home: str) -> str:
    """Inside the home; for a home too deep for a socket's name, in the runtime directory."""
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
    except FileNotFoundError:  # it tries to write: there is no space anywhere, or no right to
        directory = os.environ.get("TMPDIR", "/tmp")  # noqa: S108  made private below
    path = os.path.join(directory, name)
    fits = len(os.fsencode(os.path.join(path, LONGEST_SOCKET))) <= SOCKET_PATH_BYTES_MAX
    return path if fits else f"/tmp/{name}"  # noqa: S108  made private below


def make_runtime_directory(home: Path) -> Path:
    """Make it, private, where it is not there. Raises ConfigError where somebody else could put a socket in
    our socket's place, or it cannot be made."""
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
    """The runtime directory, empty at first and gone afterwards. Only for who holds the home's lock: what is
    found there is of daemons that were killed."""
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
