"""`swarmd experiment run`: the sweep, then every configuration with every seed, one run at a time.

Several processes can work on one folder: each takes runs that no other process has taken, marked by a lock on
the run's directory. The kernel releases the lock of a process that dies, so no run stays taken.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from protocol import Manifest
from swarmd.experiment.attacker import Oracle, gym_answer
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.exchanges.daemons import DaemonSwarms
from swarmd.experiment.exchanges.interface import ProcessExchange, RoundExchange, agreed
from swarmd.experiment.results_folder import EXPERIMENT_FILE, RUNS
from swarmd.experiment.rounds import Rounds, Watcher
from swarmd.experiment.schedule import RunSpec, best_rates, main_runs, possible_runs, sweep_runs
from swarmd.storage.durable import OUT, disk_error, write_whole
from swarmd.tasks import TaskRunner

LOCK_FILE = "lock"  # in the directory of a run
TAKEN_WAIT_S = 1.0  # between two checks of runs that another process has taken; they last minutes


@dataclass
class Experiment:
    """One experiment and where its results are."""

    config: ExperimentConfig
    manifest: Manifest
    folder: Path
    tasks: TaskRunner
    watcher: Watcher
    exchange: RoundExchange = field(default_factory=ProcessExchange)
    oracle: Oracle = gym_answer
    """What attackers know."""
    taken_wait_s: float = TAKEN_WAIT_S

    def __post_init__(self) -> None:
        parts = (self.config, self.manifest, self.folder, self.tasks, self.watcher)
        self._player: Rounds | DaemonSwarms = (
            DaemonSwarms(*parts)
            if self.config.exchange == "daemons"
            else Rounds(*parts, self.exchange, self.oracle)
        )

    async def run(self) -> None:
        """Play all runs that are not finished.

        Raises ConfigError, ModelError, TaskError, StorageError, SwarmdError.
        """
        with claimed(self.folder, wait=True):  # one rank at a time, because they measure the machine
            self._player.check()
            for run in possible_runs(self.config):
                self._player.refuse_another(run, self.folder / RUNS / run.name)
            self._write_config()
        sweep = sweep_runs(self.config)
        fixed = {arm.label: self.config.rates_of(arm)[0] for arm in self.config.configurations}
        self.watcher.planned([*sweep, *main_runs(self.config, fixed)])
        rewards = await self._all(sweep)
        await self._all(main_runs(self.config, best_rates(self.config, rewards)))

    async def _all(self, runs: Sequence[RunSpec]) -> list[tuple[RunSpec, float]]:
        """Finish `runs`, or wait until other processes have. Returns each with its cumulative own reward."""
        found: dict[str, float] = {}
        while len(found) < len(runs):
            for run in runs:
                if run.name in found:
                    continue
                with self._claimed(run) as ours:
                    if ours:
                        found[run.name] = await self._player.play(run, self.folder / RUNS / run.name)
            if len(found) < len(runs):
                await asyncio.sleep(self.taken_wait_s)
        return [(run, found[run.name]) for run in runs]

    @contextmanager
    def _claimed(self, run: RunSpec) -> Iterator[bool]:
        """Whether `run` is ours; rank 0 decides for all ranks."""
        if self.exchange.rank > 0:
            yield agreed(self.exchange, f"choice of {run.name}", False)
            return
        with claimed(self.folder / RUNS / run.name) as ours:
            yield agreed(self.exchange, f"choice of {run.name}", ours)

    def _write_config(self) -> None:
        try:
            text = json.dumps(self.config.model_dump(mode="json"), indent=1)
            write_whole(self.folder / EXPERIMENT_FILE, text.encode(), mode=0o644)
        except OSError as error:
            raise disk_error(f"write to {self.folder}", error, OUT) from error


@contextmanager
def claimed(directory: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether `directory`, created if missing, is ours until the end of the block; `wait` until it is.

    Raises StorageError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        file = (directory / LOCK_FILE).open("a")
    except OSError as error:
        raise disk_error(f"write to {directory}", error, OUT) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        except OSError as error:  # a network disk without locks
            raise disk_error(f"lock {directory}", error, OUT) from error
        else:
            yield True
