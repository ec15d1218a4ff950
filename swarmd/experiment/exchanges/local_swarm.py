"""Runs daemons on this machine until each has done its steps; ends all if one fails or none moves.

They also end with this process (`swarmd.parent`). A home goes on where its daemon stopped.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from swarmd.config.loading import ENV_PREFIX
from swarmd.errors import SwarmdError
from swarmd.observe import ask_status
from swarmd.storage import Home
from swarmd.storage.durable import remedy

LOG_FILE = "daemon.log"
LOG_TAIL_BYTES = 4_096  # its last line, an error's message, is quoted
LOOK_EVERY_S = 2.0  # between two looks at how far they are; a step takes seconds
STALLED_S = 1800.0  # without a step by any daemon: far longer than a step, or loading a model
STOP_S = 120.0  # to finish or drop a step and write a checkpoint; after it, killed

Looked = Callable[[int, float | None], None]
"""Is told how many steps the slowest has done, and the mean own reward of the last steps."""


@dataclass(frozen=True)
class Daemon:
    """A daemon to run; `done` of its `steps` steps are done."""

    home: Home
    steps: int
    done: int

    @property
    def log_path(self) -> Path:
        return self.home.path / LOG_FILE


@dataclass
class _Running:
    daemon: Daemon
    process: Process
    step: int
    reward: float | None = None


async def live(daemons: Sequence[Daemon], looked: Looked, *, stalled_s: float = STALLED_S) -> None:
    """Run all to their last step. Raises SwarmdError naming the one that failed, or how far all are."""
    running: list[_Running] = []
    try:
        for daemon in daemons:
            running.append(_Running(daemon, await _start(daemon, len(daemons)), daemon.done))
        moved_at, steps = time.monotonic(), 0
        ended = False
        while not ended:
            await asyncio.sleep(LOOK_EVERY_S)
            ended = all(each.process.returncode is not None for each in running)  # before they are looked at
            for each in running:
                await _look(each)
            if (now := sum(each.step for each in running)) > steps:
                moved_at, steps = time.monotonic(), now
                rewards = [each.reward for each in running if each.reward is not None]
                looked(min(each.step for each in running), sum(rewards) / len(rewards) if rewards else None)
            if time.monotonic() - moved_at > stalled_s:
                raise SwarmdError(
                    f"no daemon took a step for {stalled_s:.0f} s ({_how_far(running)}): see {LOG_FILE} "
                    "there; the same command goes on"
                )
    finally:
        await _stop([each.process for each in running])


async def _start(daemon: Daemon, share: int) -> Process:
    """Start it in its own session: a Ctrl-C is for this process, which asks all daemons to stop."""
    command = [sys.executable, "-m", "swarmd.parent", "join"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ENV_PREFIX)}
    threads = max(1, (os.cpu_count() or 1) // share)  # all start together, and each would take all cores
    try:
        with daemon.log_path.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *command,
                f"--home={daemon.home.path}",
                f"--steps={daemon.steps - daemon.done}",
                stdin=PIPE,
                stdout=log,
                stderr=log,
                env={"OMP_NUM_THREADS": str(threads), **environment},
                start_new_session=True,
            )
    except OSError as error:
        raise SwarmdError(f"the daemon of {daemon.home.path} could not start: {remedy(error)}") from error


async def _look(each: _Running) -> None:
    """Ask how far it is. Raises SwarmdError if it failed."""
    code, daemon = each.process.returncode, each.daemon
    if code == 0:
        each.step = daemon.steps
    elif code is not None:
        raise SwarmdError(
            f"the daemon of {daemon.home.path} ended with exit code {code}: {_last_words(daemon.log_path)}; "
            "the same command goes on"
        )
    else:
        try:
            status = await asyncio.to_thread(ask_status, daemon.home.path, daemon.home.socket_path)
        except SwarmdError:
            return  # it is loading its model, or just ending
        each.step, each.reward = max(each.step, status.step), status.reward.last


async def _stop(processes: Sequence[Process]) -> None:
    """Ask all that still run to stop, as `swarmd.parent` expects it; kill those that do not."""
    for process in processes:
        if process.stdin is not None:
            process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            for process in processes:
                await process.wait()
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _last_words(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_TAIL_BYTES))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def _how_far(running: Sequence[_Running]) -> str:
    return ", ".join(f"{each.daemon.home.path}: step {each.step}" for each in running)
