"""The interface of a service manager. There is one service per home, named after it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from swarmd import exit_codes
from swarmd.errors import ConfigError
from swarmd.quoting import PATH_CHARS_MAX, shortened

STOP_S = 300
"""Seconds that a peer has to finish its step and write its checkpoint. A large model needs minutes."""
AGAIN_S = 60
"""Seconds before a peer that ended is restarted, so that one that cannot work costs one start per minute."""
NAME_CHARACTERS_MAX = 200  # of an escaped path; file names end at 255, with `swarmd-` and an ending
MEANING = {
    exit_codes.FAILED: "it could not continue",
    exit_codes.MISUSED: "a wrong flag, setting, file or home",
    exit_codes.DISK_FULL: "the disk is full",
    exit_codes.BUG: "a bug",
    exit_codes.FORCED: "ended by a second signal",
}
"""Short meanings of the exit codes of `swarmd join`."""


_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""systemd also ends a line at a carriage return, and property lists cannot contain control characters."""


@dataclass(frozen=True)
class Wish:
    """The service that a person wants."""

    home: Path
    command: Sequence[str]
    """The program and its arguments."""
    description: str
    memory_max: str
    """A size such as "6GiB", or a share of the machine's memory such as "90%"."""
    writable: Sequence[Path] = ()
    """Directories besides the home that the peer may write to."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigError for text that a service file cannot contain, or that would end a line in it."""
        home = str(self.home)
        words = [*self.command, *map(str, self.writable), *(f"{k}={v}" for k, v in self.environment.items())]
        wrong = [word for word in (home, *words) if _UNWRITABLE.search(word)]
        if "\n" in home or home.endswith(("\\", " ")):  # the home is on its own line, without quotes
            wrong.append(home)
        if wrong:
            raise ConfigError(
                f"{shortened(ascii(wrong[0]), PATH_CHARS_MAX)} cannot be written to a service file: it has "
                "a control character, is not UTF-8, or is a home that ends in a backslash or a space. "
                "Use another name or value"
            )


@dataclass(frozen=True)
class State:
    """The state of a service, according to its manager."""

    name: str
    file: Path
    is_running: bool
    text: str
    """Such as "running since Thu 2026-11-26 15:02:30 UTC, started again 2 times"."""
    starts: str
    """When it starts automatically."""


class ServiceManager(Protocol):
    """Keeps peers of this user running. Methods raise SwarmdError with what the manager reported."""

    def file(self, home: Path) -> Path:
        """Return the file that defines the service of this home. The service exists if the file does."""

    def install(self, wish: Wish) -> Sequence[str]:
        """Write the file, and start the service now and at each login. Return notes for its owner.

        Leaves nothing behind if the service does not start.
        """

    def state(self, home: Path) -> State:
        """Return the state of this home's service."""

    def log_command(self, home: Path, lines: int, *, follow: bool) -> Sequence[str]:
        """Return the command that prints the newest lines of the log."""

    def remove(self, home: Path) -> None:
        """Stop the service and remove its file. The home is not changed."""


def service_name(home: Path, default_home: Path) -> str:
    """Return `swarmd` for the usual home, and for others `swarmd-` and the path as escaped by `systemd-escape
    --path` (systemd.unit(5), "String escaping for inclusion in unit names"), or its SHA-256 if that is too
    long for a file name.

    No two homes share a name.
    """
    if home == default_home:
        return "swarmd"
    path = home.as_posix().strip("/")
    escaped = re.sub(r"[^A-Za-z0-9:_.]", _escape, path)
    if len(escaped) > NAME_CHARACTERS_MAX:
        escaped = sha256(path.encode("utf-8", "surrogateescape")).hexdigest()
    return f"swarmd-{escaped}"


def _escape(found: re.Match[str]) -> str:
    if found[0] == "/":
        return "-"
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def how_it_ended(code: int) -> str:
    """Return an exit code of `swarmd join` and its meaning."""
    return f"exit code {code}" + (f": {MEANING[code]}" if code in MEANING else "")
