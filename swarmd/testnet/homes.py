"""Where the peers of a testnet live: a temporary directory that is removed, or one that is kept.

DIR/peer-1/ ...     home of a peer, like any other
DIR/observer/       home of the observer, with --http
DIR/swarmd-testnet  marks the homes as made by a testnet: others may name a directory peer-1 too
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swarmd.addresses import listen_address
from swarmd.errors import ConfigError
from swarmd.fleet import give_ports
from swarmd.names import name_of
from swarmd.storage import Home
from swarmd.storage.durable import remedy

HOST = "127.0.0.1"
PREFIX = "swarmd-testnet-"  # of temporary directories
OBSERVER = "observer"
PEER = re.compile(r"peer-(\d{1,4})")
MARK = "swarmd-testnet"
"""An empty file that marks the directory, and the homes in it, as made by a testnet."""


@dataclass(frozen=True)
class Settler:
    """A peer and its home. Peers count from 1."""

    number: int
    home: Home
    peer_id: str

    @property
    def address(self) -> str:
        """Where the others reach it, known before it is up."""
        return f"{listen_address(HOST, self.home.read_port() or 0)}/p2p/{self.peer_id}"

    @property
    def label(self) -> str:
        """Like "2 brisk-otter": two peers can share a name, but not a number."""
        return f"{self.number} {name_of(self.peer_id)}"


@contextmanager
def directory(path: Path | None, *, keep: bool) -> Iterator[Path]:
    """Yield `path`, created if it is missing; or a temporary directory, removed in the end unless `keep`.

    Raises ConfigError.
    """
    if path is not None:
        require_ours(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            (path / MARK).touch()
        except OSError as error:
            raise ConfigError(f"--home {path} cannot be made: {remedy(error)}") from error
        yield path
        return
    try:
        made = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()
        (made / MARK).touch()
    except OSError as error:
        raise ConfigError(
            f"no temporary directory can be made: {remedy(error, 'another TMPDIR')}, or give --home DIR"
        ) from error
    try:
        yield made
    finally:
        if not keep:
            shutil.rmtree(made, ignore_errors=True)


def require_ours(path: Path) -> None:
    """Raise ConfigError if `path` contains anything that no testnet put there. Creates nothing."""
    try:
        names = sorted(each.name for each in path.iterdir())
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise ConfigError(f"--home {path} is a file: give a directory") from error
    except OSError as error:
        raise ConfigError(f"--home {path} cannot be read: {remedy(error)}") from error
    others = [name for name in names if name not in (MARK, OBSERVER) and not PEER.fullmatch(name)]
    if MARK not in names:
        others += names
    if others:
        raise ConfigError(
            f"--home {path} contains {others[0]!r}, which no testnet made: give a new or empty directory, or "
            f"one that a testnet made before (one of an earlier version needs an empty file {path / MARK})"
        )


def settle(path: Path, count: int) -> list[Settler]:
    """Return the first `count` peers of `path`, creating homes, keys and ports that are missing.

    Raises ConfigError, also if one of the homes is in use.
    """
    homes = [Home.open(path / f"peer-{number}") for number in range(1, count + 1)]
    for home in homes:
        home.require_unused()
    give_ports(homes, HOST)
    return [_settler(number, home) for number, home in enumerate(homes, 1)]


def settled(path: Path) -> list[Settler]:
    """Return all peers that live there, including those of earlier, larger runs, by number. Raises
    ConfigError.
    """
    found = [(int(match[1]), each) for each in path.iterdir() if (match := PEER.fullmatch(each.name))]
    return [_settler(number, Home(each)) for number, each in sorted(found)]


def _settler(number: int, home: Home) -> Settler:
    return Settler(number, home, home.key().peer_id)
