"""Services of systemd's user manager, through `systemctl --user`."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

from swarmd.errors import ConfigError, SwarmdError
from swarmd.service.interface import State, Wish, how_it_ended, service_name
from swarmd.service.running import attempt, call
from swarmd.service.unit import unit_text

SYSTEMCTL = ("systemctl", "--user")
NO_FILE_SYSTEM = ("217", "226")
"""systemd's exit codes for a user namespace or a file system that it could not create (systemd.exec(5))."""
SHOWN = "ActiveState,ActiveEnterTimestamp,ExecMainStatus,NRestarts,UnitFileState"


class _NoFileSystemError(SwarmdError):
    """The unit did not start because systemd could not create its file system."""


class Systemd:
    """One unit file per home, in this user's directory of units."""

    def __init__(self, usual_home: Path, directory: Path) -> None:
        """Raises ConfigError if no user manager is running."""
        self._usual_home = usual_home
        self._directory = directory
        if attempt([*SYSTEMCTL, "show-environment"]).returncode:
            raise ConfigError(
                "systemd runs no manager for this user: log in as this user (at the console or by ssh; `su` "
                "and `sudo` do not start one), and in WSL set `systemd=true` under `[boot]` in /etc/wsl.conf"
            )

    def file(self, home: Path) -> Path:
        """See `ServiceManager`."""
        return self._directory / f"{service_name(home, self._usual_home)}.service"

    def install(self, wish: Wish) -> Sequence[str]:
        """See `ServiceManager`."""
        unit = self.file(wish.home)
        notes = []
        try:
            try:
                self._start(unit, unit_text(wish, own_file_system=True))
            except _NoFileSystemError:
                self._start(unit, unit_text(wish, own_file_system=False))
                notes.append(
                    "this system cannot give a user's services a private file system (unprivileged user "
                    "namespaces are off): the peer can write where this user can; other restrictions apply"
                )
        except SwarmdError:
            self._forget(unit)
            raise
        if not self._lingers():
            notes.append(
                "it starts when you log in and stops when you log out; to run it from boot on: "
                f"sudo loginctl enable-linger {getpass.getuser()}"
            )
        return notes

    def state(self, home: Path) -> State:
        """See `ServiceManager`."""
        unit = self.file(home)
        lines = call([*SYSTEMCTL, "show", unit.name, f"--property={SHOWN}"]).splitlines()
        found = dict(line.partition("=")[::2] for line in lines)
        is_running = found.get("ActiveState") == "active"
        starts = "at boot" if self._lingers() else "at login, and stops at logout"
        if found.get("UnitFileState") != "enabled":
            starts = "never: it is disabled"
        return State(unit.name, unit, is_running, _told(found), starts)

    def log_command(self, home: Path, lines: int, *, follow: bool) -> Sequence[str]:
        """See `ServiceManager`."""
        name = self.file(home).name
        command = ["journalctl", "--user", f"--unit={name}", f"--lines={lines}", "--no-pager"]
        return [*command, "--follow"] if follow else command

    def remove(self, home: Path) -> None:
        """See `ServiceManager`."""
        unit = self.file(home)
        call([*SYSTEMCTL, "disable", "--now", unit.name])
        self._forget(unit)

    def _start(self, unit: Path, text: str) -> None:
        """Write, enable and start the unit. Raises SwarmdError."""
        try:
            unit.parent.mkdir(parents=True, exist_ok=True)
            unit.touch(mode=0o600)  # the environment can contain a token
            unit.write_text(text, encoding="utf-8", errors="surrogateescape")
        except OSError as error:
            raise SwarmdError(f"{unit} cannot be written: {error.strerror}") from error
        call([*SYSTEMCTL, "daemon-reload"])
        call([*SYSTEMCTL, "enable", unit.name])
        started = attempt([*SYSTEMCTL, "restart", unit.name])
        if not started.returncode:
            return
        code = call([*SYSTEMCTL, "show", unit.name, "--property=ExecMainStatus", "--value"]).strip()
        kind = _NoFileSystemError if code in NO_FILE_SYSTEM else SwarmdError
        said = started.stderr.strip().partition("\n")[0]
        raise kind(f"{unit.name} did not start ({how_it_ended(int(code or 0))}): {said}")

    def _forget(self, unit: Path) -> None:
        """Remove all traces: the manager remembers the failure of a unit until it is reset."""
        attempt([*SYSTEMCTL, "disable", "--now", unit.name])
        unit.unlink(missing_ok=True)
        attempt([*SYSTEMCTL, "daemon-reload"])
        attempt([*SYSTEMCTL, "reset-failed", unit.name])

    def _lingers(self) -> bool:
        """Whether this user's services run without a login."""
        shown = attempt(["loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value"])
        return shown.stdout.strip() == "yes"


def _told(found: dict[str, str]) -> str:
    again = int(found.get("NRestarts") or 0)
    times = f", started again {again} {'time' if again == 1 else 'times'}" if again else ""
    ended = how_it_ended(int(found.get("ExecMainStatus") or 0))
    match found.get("ActiveState"):
        case "active":
            return f"running since {found.get('ActiveEnterTimestamp', '')}{times}"
        case "activating":
            return f"waiting to start again after {ended}{times}"
        case "failed":
            return f"failed, {ended}{times}"
        case other:
            return other or "unknown"
