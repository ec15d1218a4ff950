"""A real daemon as a test sees it: a process, the events it prints, its status, and signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from swarmd.observe import StatusSnapshot, ask_status
from swarmd.storage import Home

EVENT_S = 120.0  # a start on a busy machine takes half a minute; a test fails rather than hangs
EXIT_S = 60.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
SPARING = {"SWARMD_OBSERVE__EVALUATE_EVERY": "0", "SWARMD_POLICY__DUTY": "0.3"}
"""Two things that few tests are about take most of a daemon's CPU time: 400 held-out questions before the
first step of a new home, and steps without a pause while it waits for another that still starts. Tests that
need them give --evaluate-every and --duty."""

Event = dict[str, Any]
"""As it was printed, and `seen`: when it was read, by the monotonic clock."""


def swarmd(*arguments: str, timeout_s: float = EVENT_S) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "swarmd", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **ONE_THREAD, **SPARING},
        check=False,
    )


class DaemonProcess:
    """One life of `swarmd join`. It leads a process group of its own, as a command in a terminal does."""

    def __init__(
        self,
        home: Path,
        *arguments: str,
        prefix: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        errors_in: Path | None = None,
        command: str = "join",
    ) -> None:
        """`command`: join, or observe. `prefix` stands before it, `environment` goes beside that of the test,
        and what it writes to stderr is kept in `errors_in`, which is the home's own directory if nothing else
        is said."""
        self.home = Home(home)
        name = f"{home.name}.{threading.get_ident()}.{os.urandom(4).hex()}.stderr"
        self.errors_path = (errors_in or home.parent) / name
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._ended = False
        with self.errors_path.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    *prefix,
                    *(sys.executable, "-m", "swarmd", command),
                    *("--home", str(home), "--host", "127.0.0.1"),
                    *("--log-format", "json", "--log-level", "debug"),
                    *arguments,
                ],
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **ONE_THREAD, **SPARING, **(environment or {})},
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Of the peer itself; `process` is its small parent."""
        self.wait_for("started")
        [peer] = psutil.Process(self.process.pid).children()
        return peer.pid

    @property
    def stderr(self) -> str:
        return self.errors_path.read_text()

    @property
    def address(self) -> str:
        """Where others join; waits until it is known."""
        return str(self.wait_for("join_command")["command"]).rpartition(" ")[2]

    def named(self, name: str) -> list[Event]:
        """The events of that name so far."""
        with self._changed:
            return [event for event in self.events if event["event"] == name]

    def wait_for(
        self, name: str, where: Callable[[Event], bool] = lambda _: True, timeout_s: float = EVENT_S
    ) -> Event:
        """The first event of that name that fits, past or to come."""
        found: list[Event] = []

        def is_there() -> bool:
            found.extend(event for event in self.events if event["event"] == name and where(event))
            return bool(found) or self._ended

        with self._changed:
            self._changed.wait_for(is_there, timeout_s)
        assert found, f"no such event {name}\n{self.describe()}"
        return found[0]

    def wait_for_step(self, step: int, timeout_s: float = EVENT_S) -> Event:
        return self.wait_for("step", lambda event: event["step"] >= step, timeout_s)

    def status(self) -> StatusSnapshot:
        return ask_status(self.home.path, self.home.socket_path)

    def interrupt(self) -> None:
        """Ctrl-C: to every process of the terminal's foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def terminate(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        """Like a power cut: nobody tidies up after it. The peer ends with its small parent."""
        self.process.kill()
        self.process.wait(EXIT_S)

    def wait(self, timeout_s: float = EXIT_S) -> int:
        """The exit code, once everything it printed was read."""
        code = self.process.wait(timeout_s)
        self._reader.join(timeout_s)
        return code

    def children(self) -> list[psutil.Process]:
        """The peer itself, p2pd, the task worker and what they started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def close(self) -> None:
        """End it and its children if they still run."""
        try:
            children = self.children()
        except psutil.NoSuchProcess:
            children = []
        if self.process.poll() is None:
            self.kill()
        for child in children:
            if child.is_running():
                child.kill()
        self._reader.join(EXIT_S)

    def describe(self) -> str:
        """What a failed assertion should show."""
        with self._changed:
            last = "\n".join(json.dumps(event) for event in self.events[-30:])
        return f"exit code {self.process.poll()}\n{last}\n--- stderr\n{self.stderr}"

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append({"seen": time.monotonic(), **json.loads(line)})
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()


def left_running(processes: Sequence[psutil.Process], within_s: float = 20.0) -> list[psutil.Process]:
    """Those that do not end by themselves within the time."""
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    return list(alive)
