"""What is asked of a service manager, and what it tells. One service per home: its name follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from swarmd import exit_codes
from swarmd.errors import ConfigError

STOP_S = 300
"""Seconds that a peer has to finish its step and write its checkpoint; a large model needs minutes."""
AGAIN_S = 60
"""Seconds before an ended peer is started again, so that one that cannot work costs a start per minute."""
MEANING = {
    exit_codes.FAILED: "it could not go on",
    exit_codes.MISUSED: "a wrong flag, setting, file or home",
    exit_codes.DISK_FULL: "the disk is full",
    exit_codes.BUG: "a bug",
    exit_codes.FORCED: "ended by a second signal",
}
"""Of the exit codes of `swarmd join`, in a few words."""


_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
"""systemd ends a line at a carriage return too; property lists have no control characters."""


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
    """Directories beside the home that the peer may write."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigError for text that no manager's file can hold, or that would end a line of it."""
        home = str(self.home)
        words = [*self.command, *map(str, self.writable), *(f"{k}={v}" for k, v in self.environment.items())]
        wrong = [word for word in (home, *words) if _UNWRITABLE.search(word)]
        if "\n" in home or home.endswith(("\\", " ")):  # it stands on a line of its own, without quotes
            wrong.append(home)
        if wrong:
            raise ConfigError(
                f"{ascii(wrong[0])[:200]} cannot stand in the file of a service: it has a control character, "
                "is not UTF-8, or is a home that ends in a backslash or a space. Use another name or value"
            )


@dataclass(frozen=True)
class State:
    """A service as its manager knows it."""

    name: str
    file: Path
    is_running: bool
    text: str
    """Such as "running since Thu 2026-11-26 15:02:30 UTC, started again 2 times"."""
    starts: str
    """When it starts by itself."""


class ServiceManager(Protocol):
    """Keeps peers of this user running. Methods raise SwarmdError with what the manager said."""

    def file(self, home: Path) -> Path:
        """The file that makes the service of this home: it has a service if the file is there."""

    def install(self, wish: Wish) -> Sequence[str]:
        """Write the file, and start the service now and at each login. Returns what its owner should know.
        Leaves nothing behind if it does not start."""

    def state(self, home: Path) -> State:
        """How the service of this home is."""

    def log_command(self, home: Path, lines: int, *, follow: bool) -> Sequence[str]:
        """The command that prints the newest lines."""

    def remove(self, home: Path) -> None:
        """Stop the service and remove its file. The home stays as it is."""


def service_name(home: Path, default_home: Path) -> str:
    """`swarmd`, or for another home than the usual one `swarmd-` and its path as `systemd-escape --path`
    writes it (systemd.unit(5), "String escaping for inclusion in unit names"). No two homes share a name."""
    if home == default_home:
        return "swarmd"
    escaped = re.sub(r"[^A-Za-z0-9:_.]", _escape, home.as_posix().strip("/"))
    return f"swarmd-{escaped}"


def _escape(found: re.Match[str]) -> str:
    if found[0] == "/":
        return "-"
    return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))


def how_it_ended(code: int) -> str:
    """An exit code of `swarmd join`, with what it means."""
    return f"exit code {code}" + (f": {MEANING[code]}" if code in MEANING else "")
