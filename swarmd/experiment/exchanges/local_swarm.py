"""Run daemons on this machine as a fleet until each has done its steps; stop all if one fails or none makes
progress.

Their output goes into their logs, and their progress is read from it. A home continues where its daemon
stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from swarmd.config.loading import is_setting
from swarmd.errors import SwarmdError
from swarmd.fleet import Device, Fleet, Member, under_parent
from swarmd.storage import Home
from swarmd.storage.durable import OUT, remedy

HOST = "127.0.0.1"
LOG_FILE = "daemon.log"
THREADS_VARIABLE = "OMP_NUM_THREADS"
LOOK_EVERY_S = 2.0  # between two checks for progress; a step takes seconds
STALLED_S = 1800.0  # without a step by any daemon: far longer than a step or loading a model
STOP_S = 120.0  # to finish or drop a step and write a checkpoint; then the fleet kills them

Looked = Callable[[int, float | None], None]
"""Called with the number of steps that the slowest daemon has done, and the mean own reward of the last
steps.
"""


@dataclass(frozen=True)
class Daemon:
    """A daemon to run; `done` of its `steps` steps are done."""

    home: Home
    steps: int
    done: int

    @property
    def log_path(self) -> Path:
        return self.home.path / LOG_FILE


async def live(daemons: Sequence[Daemon], looked: Looked, *, stalled_s: float = STALLED_S) -> None:
    """Run all daemons to their last step. Raises SwarmdError naming the one that failed, or how far all have
    come, and KeyboardInterrupt after a signal.
    """
    await _LocalSwarm({daemon.home.path.name: daemon for daemon in daemons}, looked, stalled_s).live()


@dataclass
class _LocalSwarm:
    """Listens to its own fleet."""

    daemons: dict[str, Daemon]
    looked: Looked
    stalled_s: float
    _logs: dict[str, TextIO] = field(default_factory=dict)
    _steps: dict[str, int] = field(default_factory=dict)
    _rewards: dict[str, float] = field(default_factory=dict)
    _moved_at: float = field(default_factory=time.monotonic)
    _failure: str | None = None
    _is_told_to_stop: bool = False

    async def live(self) -> None:
        members = [self._member(name) for name in self.daemons]
        fleet = Fleet(members, self._command, HOST, self, stops_at_failure=True, together=True)
        with ExitStack() as opened:
            for name, daemon in self.daemons.items():
                self._steps[name] = daemon.done
                try:
                    self._logs[name] = opened.enter_context(daemon.log_path.open("a", encoding="utf-8"))
                except OSError as error:
                    raise SwarmdError(f"{daemon.log_path} cannot be written: {remedy(error, OUT)}") from error
            try:
                async with asyncio.TaskGroup() as group:
                    await self._watch(fleet, group.create_task(fleet.run(), name="daemons"))
            except* SwarmdError:
                pass  # `failed` has recorded which daemon failed, and why
        if self._failure is not None:
            raise SwarmdError(f"{self._failure}; the same command resumes")
        if self._is_told_to_stop:
            raise KeyboardInterrupt

    async def _watch(self, fleet: Fleet, running: asyncio.Task[int]) -> None:
        """Wait for the end, and stop everything if no daemon makes progress."""
        while not running.done():
            await asyncio.wait([running], timeout=LOOK_EVERY_S)
            if time.monotonic() - self._moved_at > self.stalled_s and not running.done():
                far = ", ".join(
                    f"{self.daemons[name].home.path}: step {n}" for name, n in self._steps.items()
                )
                self._failure = (
                    f"no daemon took a step for {self.stalled_s:.0f} s ({far}): see {LOG_FILE} there"
                )
                fleet.stop("stopping all")
                await asyncio.wait([running], timeout=STOP_S)
                running.cancel()
                return

    def _member(self, name: str) -> Member:
        """Without this process's variables: the home has all settings."""
        share = max(1, (os.cpu_count() or 1) // len(self.daemons))  # otherwise each would take all cores
        threads = {} if THREADS_VARIABLE in os.environ else {THREADS_VARIABLE: str(share)}
        unset = dict.fromkeys(filter(is_setting, os.environ))
        return Member(Device(name, "cpu"), self.daemons[name].home, {}, {**threads, **unset})

    def _command(self, member: Member, _way_in: Sequence[str]) -> list[str]:
        daemon = self.daemons[member.name]
        return [
            *under_parent("join"),
            f"--home={daemon.home.path}",
            f"--steps={daemon.steps - daemon.done}",
            f"--address-file={member.addresses_path}",
        ]

    # What the fleet says ----------------------------------------------------------------------------

    def said(self, member: Member, line: str) -> None:
        self._log(member, line)
        try:
            event: Any = json.loads(line)
        except ValueError:
            return
        if isinstance(event, dict) and event.get("event") == "step":
            self._moved_at = time.monotonic()
            self._steps[member.name] = event["step"]
            if event.get("reward") is not None:
                self._rewards[member.name] = event["reward"]
            rewards = self._rewards.values()
            self.looked(min(self._steps.values()), sum(rewards) / len(rewards) if rewards else None)

    def complained(self, member: Member, line: str) -> None:
        self._log(member, line)

    def reachable(self, member: Member, *, first: bool) -> None:
        """Nothing to do: every daemon knows all others from its settings."""

    def failed(self, member: Member, why: str) -> None:
        if self._failure is None:  # others can fail because they are stopped
            self._failure = f"the daemon of {member.home.path} failed: {why}"

    def ended(self, member: Member) -> None:
        """Nothing to do: its last step was already reported."""

    def told(self, text: str) -> None:  # noqa: ARG002  a signal, or known to `failed` and `_watch`
        self._is_told_to_stop = True

    def _log(self, member: Member, line: str) -> None:
        print(line.rstrip("\n"), file=self._logs[member.name], flush=True)
