"""Paths as people write them in flags and files. What the system says about one becomes one clear error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.quoting import PATH_CHARS_MAX, shortened


def path_of(written: str | Path, called: str = "") -> Path:
    """Return the path, with ~ and ~USER replaced. `called`: the flag, if the error should name it.

    Raises ConfigError if there is no such user.
    """
    try:
        return Path(written).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{_named(written, called)}: there is no such user: write the path out in full"
        ) from error


@contextmanager
def looking_at(written: str | Path, called: str = "") -> Iterator[None]:
    """Raise ConfigError if the system refuses to look at a path: its name is too long, or this user lacks
    permission.
    """
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{_named(written, called)} cannot be used: {error.strerror}; name another path"
        ) from error


def require_writable_file(path: Path, called: str) -> None:
    """Raise ConfigError if a file could not be written at `path`, which `called` names. Creates nothing."""
    with looking_at(path, called):
        if not path.absolute().parent.is_dir():
            raise ConfigError(f"{called} {path}: there is no directory {path.parent}: make it first")
        if path.is_dir():
            raise ConfigError(f"{called} {path} is a directory: name a file in it")
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise ConfigError(f"{called} {path} cannot be written by this user: name another file")


def _named(written: str | Path, called: str) -> str:
    return f"{called} {shortened(str(written), PATH_CHARS_MAX)}".lstrip()
