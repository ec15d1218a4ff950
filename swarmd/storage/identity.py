"""A peer's key file: reading, creating, restoring. It is never changed, and only overwritten on request."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from protocol import KeyPair, ProtocolError
from swarmd.errors import ConfigError
from swarmd.storage.durable import FORMER, remedy, set_aside, write_whole

KEY_BYTES_MAX = 4_096
"""More than any key file contains. If the file is something else, no more than this is read."""

KEY_SEED_BYTES = 32


def read_key(path: Path) -> KeyPair:
    """Read the key in a home's file. Raises ConfigError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            data = file.read(KEY_BYTES_MAX)
    except OSError as error:
        raise ConfigError(f"the key {path} cannot be read: {remedy(error)}") from error
    if mode & 0o077:
        raise ConfigError(
            f"the key {path} is accessible to users other than its owner (mode {mode & 0o777:o}): "
            f"if nobody has copied it, `chmod 600 {shlex.quote(str(path))}`"
        )
    try:
        return KeyPair.from_libp2p(data)
    except ProtocolError as error:
        raise ConfigError(
            f"the key {path} is damaged ({error}): restore a backup (`swarmd key restore FILE --replace`), "
            "or move it away and start with --new-identity to become a new peer"
        ) from error


def make_key(path: Path) -> None:
    """Write a new random key, readable only by its owner. Raises OSError."""
    write_whole(path, KeyPair.from_seed(os.urandom(KEY_SEED_BYTES)).to_libp2p())


def put_key(path: Path, key: KeyPair, *, replace: bool) -> str:
    """Write `key`. It replaces another key only with `replace`, and that key is kept. Return what was done,
    as the end of a sentence.

    Raises ConfigError, OSError.
    """
    data = key.to_libp2p()
    if not os.path.lexists(path):
        write_whole(path, data)
        return ""
    if path.read_bytes() == data:
        path.chmod(0o600)
        return ", as it was"
    if not replace:
        raise ConfigError(f"{path} is a different key, or a damaged one: --replace sets it aside")
    aside = set_aside(path, FORMER)
    write_whole(path, data)
    return f"; the previous key is kept as {aside}"
