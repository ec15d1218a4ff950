"""Services on macOS: one LaunchAgent per home (launchd.plist(5)), through `launchctl`.

launchd neither sandboxes an agent nor limits its memory; `--memory-limit` is the limit there. It restarts an
agent after every exit code but 0, even after a wrong setting, once a minute.
"""

from __future__ import annotations

import plistlib
import re
from collections.abc import Sequence
from pathlib import Path

from swarmd.errors import SwarmdError
from swarmd.service.interface import AGAIN_S, STOP_S, State, Wish, how_it_ended, service_name
from swarmd.service.running import attempt, call

ERRORS = "service.err"
"""A file in the home with what the peer wrote to standard error, a few lines per start. The log itself is
bounded and shown by `swarmd events`; launchd does not bound files.
"""


class Launchd:
    """One property list per home, in this user's directory of agents."""

    def __init__(self, usual_home: Path, directory: Path, uid: int) -> None:
        self._usual_home = usual_home
        self._directory = directory
        self._domain = f"gui/{uid}"

    def file(self, home: Path) -> Path:
        """See `ServiceManager`."""
        return self._directory / f"{service_name(home, self._usual_home)}.plist"

    def install(self, wish: Wish) -> Sequence[str]:
        """See `ServiceManager`."""
        agent = self.file(wish.home)
        try:
            agent.parent.mkdir(parents=True, exist_ok=True)
            agent.write_bytes(plist(agent.stem, wish))
        except OSError as error:
            raise SwarmdError(f"{agent} cannot be written: {error.strerror}") from error
        try:
            call(["launchctl", "bootstrap", self._domain, str(agent)])
        except SwarmdError:
            agent.unlink()
            raise
        return [
            "it runs while you are logged in",
            "launchd does not limit a service's memory: --memory-limit is the only limit",
        ]

    def state(self, home: Path) -> State:
        """See `ServiceManager`."""
        agent = self.file(home)
        shown = attempt(["launchctl", "print", f"{self._domain}/{agent.stem}"]).stdout
        state = re.search(r"^\s*state = (.+)$", shown, re.MULTILINE)
        code = re.search(r"^\s*last exit code = (\d+)", shown, re.MULTILINE)
        text = state[1] if state else "not loaded"
        ended = f", last {how_it_ended(int(code[1]))}" if code and text != "running" else ""
        return State(agent.stem, agent, text == "running", text + ended, "at login, and stops at logout")

    def log_command(self, home: Path, lines: int, *, follow: bool) -> Sequence[str]:
        """See `ServiceManager`."""
        return ["tail", "-n", str(lines), *(["-f"] if follow else []), str(home / ERRORS)]

    def remove(self, home: Path) -> None:
        """See `ServiceManager`."""
        agent = self.file(home)
        attempt(["launchctl", "bootout", f"{self._domain}/{agent.stem}"])  # it may not be loaded
        agent.unlink()


def plist(label: str, wish: Wish) -> bytes:
    """Return the property list of the agent `label`."""
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": list(wish.command),
            "WorkingDirectory": str(wish.home),
            "EnvironmentVariables": dict(wish.environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": AGAIN_S,
            "ExitTimeOut": STOP_S,
            "ProcessType": "Background",
            "Umask": 0o077,
            "StandardOutPath": "/dev/null",
            "StandardErrorPath": str(wish.home / ERRORS),
        }
    )
