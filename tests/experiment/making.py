"""Small experiments: a tiny model, tasks without a worker process, and nobody watching."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from protocol import TaskSpec
from swarmd.experiment import Experiment, ExperimentConfig, RunSpec
from swarmd.experiment.exchanges.interface import ProcessExchange, RoundExchange
from swarmd.tasks import Question, Score, TaskFailure
from tests.daemon.fakes import KnownTasks, ScoreBy, every_other
from tests.gossip.making import make_manifest

MANIFEST = make_manifest()

Lines = list[dict[str, Any]]


def make_config(model: Path, **given: Any) -> ExperimentConfig:
    settings = {
        "name": "tiny",
        "nodes": 2,
        "rounds": 3,
        "seeds": 1,
        "evaluate_every": 2,
        "held_out_questions": 3,
        "checkpoint_every": 2,
        "policy": {"model": str(model), "dtype": "float32", "max_new_tokens": 6, "threads": 1},
        "learning": {"group_size": 2, "warmup_steps": 0},
        "configurations": [{"local": 2, "external": 2}],
    }
    return ExperimentConfig.model_validate(settings | given)


class KilledError(Exception):
    """Stands for a kill: nothing in the program expects it."""


class Watched:
    """Remembers how it went, may end the program after a number of rounds, and does `then` after each."""

    def __init__(self, kill_after: int | None = None, then: Callable[[], None] = lambda: None) -> None:
        self._then = then
        self.runs: list[str] = []
        self.rewards: list[tuple[str, int]] = []
        self._left = kill_after

    def planned(self, runs: Sequence[RunSpec]) -> None:
        self.runs = [run.name for run in runs]

    def advanced(self, run: RunSpec, rounds: int, reward_own: float | None) -> None:
        if reward_own is None:
            return
        self.rewards.append((run.name, rounds))
        self._then()
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                raise KilledError


class EveryThirdGroup:
    """Rewards 0, 1 in each third group that is scored, else 0: the others teach nothing."""

    def __init__(self) -> None:
        self._groups = 0

    def __call__(self, position: int, text: str) -> Score:
        self._groups += position == 0
        return Score(float(self._groups % 3 == 0 and position % 2 == 1), bare=True)


class TwoTurns(KnownTasks):
    """Every question takes two turns. Rewards 0, 1, 0, 1."""

    def __init__(self) -> None:
        super().__init__(lambda position, _: replace(every_other(position, ""), observations=("again",)))

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        made = await super().questions(specs)
        return [each if isinstance(each, TaskFailure) else replace(each, turns=2) for each in made]

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> list[str | TaskFailure | None]:
        return ["again" if len(texts) == 1 else None for _, texts in items]


async def run(
    config: ExperimentConfig,
    folder: Path,
    watcher: Watched | None = None,
    score_by: ScoreBy = every_other,
    exchange: RoundExchange | None = None,
) -> None:
    tasks, watching = KnownTasks(score_by), watcher or Watched()
    ranks = exchange or ProcessExchange()
    await Experiment(config, MANIFEST, folder, tasks, watching, ranks, taken_wait_s=0).run()
