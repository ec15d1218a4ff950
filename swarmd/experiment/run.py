"""`swarmd experiment run`: the sweep, then every configuration with every seed, round by round, resumable.

Several processes may work on one folder: each takes runs that nobody has taken.

    FOLDER/experiment.json             the experiment as it was last started
    FOLDER/runs/NAME/rounds.jsonl      what happened in a run (`journal`)
    FOLDER/runs/NAME/checkpoints/      all nodes of the run in hand; removed when it is finished
"""

from __future__ import annotations

import asyncio
import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from protocol import Manifest
from swarmd.daemon.verification import Verification
from swarmd.evaluation import evaluate
from swarmd.experiment.claiming import claimed
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.describing import header, held_out_line, node_line, versions
from swarmd.experiment.exchange import ProcessExchange, RoundExchange
from swarmd.experiment.journal import Journal, Line
from swarmd.experiment.market import open_market
from swarmd.experiment.node import Node
from swarmd.experiment.population import Population, restore, save
from swarmd.experiment.schedule import RunSpec, best_rates, main_runs, sweep_runs
from swarmd.experiment.seeding import HELD_OUT
from swarmd.storage import Checkpoints
from swarmd.storage.durable import disk_error, write_whole
from swarmd.tasks import Question, TaskRunner, held_out_questions

EXPERIMENT_FILE = "experiment.json"
RUNS, ROUNDS_FILE, CHECKPOINTS = "runs", "rounds.jsonl", "checkpoints"
TAKEN_WAIT_S = 1.0  # between two looks at runs that another process has; it takes minutes
CHECKPOINTS_KEPT = 2  # the newest, and one in case it is damaged

T = TypeVar("T")


class Watcher(Protocol):
    """Is told how it goes."""

    def planned(self, runs: Sequence[RunSpec]) -> None: ...
    def advanced(self, run: RunSpec, rounds: int, reward_own: float | None) -> None: ...


@dataclass
class Experiment:
    """One experiment and where its results are."""

    config: ExperimentConfig
    manifest: Manifest
    folder: Path
    tasks: TaskRunner
    watcher: Watcher
    exchange: RoundExchange = field(default_factory=ProcessExchange)
    taken_wait_s: float = TAKEN_WAIT_S
    _questions: list[Question] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._population = Population(self.config, self.manifest, self.tasks, self.folder)
        self._verification = Verification(manifest=self.manifest, tasks=self.tasks)

    async def run(self) -> None:
        """Do what is not done yet. Raises ConfigError, ModelError, TaskError, StorageError."""
        with claimed(self.folder, wait=True):
            self._write_config()
            self._population.check()
        self._questions = await held_out_questions(
            self.tasks, self.manifest.tasks, HELD_OUT, self.config.held_out_questions
        )
        sweep = sweep_runs(self.config)
        fixed = {arm.label: self.config.rates_of(arm)[0] for arm in self.config.configurations}
        self.watcher.planned([*sweep, *main_runs(self.config, fixed)])
        rewards = await self._all(sweep)
        await self._all(main_runs(self.config, best_rates(self.config, rewards)))

    async def _all(self, runs: Sequence[RunSpec]) -> list[tuple[RunSpec, float]]:
        """Finish `runs`, or wait until other processes have; with each one's cumulative own reward."""
        found: dict[str, float] = {}
        while len(found) < len(runs):
            for run in runs:
                if run.name in found:
                    continue
                with claimed(self.folder / RUNS / run.name) as ours:
                    if ours:
                        found[run.name] = cumulative_own(await self._one(run))
            if len(found) < len(runs):
                await asyncio.sleep(self.taken_wait_s)
        return [(run, found[run.name]) for run in runs]

    def _write_config(self) -> None:
        try:
            text = json.dumps(self.config.model_dump(mode="json"), indent=1)
            write_whole(self.folder / EXPERIMENT_FILE, text.encode(), mode=0o644)
        except OSError as error:
            raise disk_error(f"write to {self.folder}", error) from error

    async def _one(self, run: RunSpec) -> list[Line]:
        """All lines of `run`, which is finished if it was not."""
        directory = self.folder / RUNS / run.name
        journal = Journal(directory / ROUNDS_FILE)
        journal.begin(header(self.config, self.manifest, run, self._population.reasons()))
        if journal.lines()[-1]["kind"] == "end":
            self.watcher.advanced(run, self.config.rounds_of(run.arm), None)
            return journal.lines()
        checkpoints = Checkpoints(directory / CHECKPOINTS, CHECKPOINTS_KEPT)
        nodes = self._population.nodes(run)
        done = self._resume(journal, checkpoints, nodes)
        self.watcher.advanced(run, done, None)
        await self._rounds(run, nodes, journal, checkpoints, done)
        journal.append([*await self._evaluate(nodes, self.config.rounds_of(run.arm)), {"kind": "end"}])
        shutil.rmtree(directory / CHECKPOINTS, ignore_errors=True)
        return journal.lines()

    def _resume(self, journal: Journal, checkpoints: Checkpoints, nodes: Sequence[Node]) -> int:
        """Go back to the newest checkpoint; returns how many rounds it has done.

        To the beginning if the journal does not lead up to it: somebody removed a damaged one.
        """
        checkpoint = checkpoints.load_latest()
        done = 0
        if checkpoint is not None and checkpoint.step <= journal.rounds():
            restore(checkpoint, nodes)
            done = checkpoint.step
        has_begun = len(journal.lines()) > 1
        journal.cut_back(done)
        if has_begun:
            journal.append([{"kind": "resumed", "round": done, "versions": versions()}])
        return done

    async def _rounds(
        self, run: RunSpec, nodes: Sequence[Node], journal: Journal, checkpoints: Checkpoints, done: int
    ) -> None:
        for round_ in range(done, self.config.rounds_of(run.arm)):
            lines = await self._evaluate(nodes, round_) if round_ % self.config.evaluate_every == 0 else []
            played = await self._play(nodes, round_)
            journal.append([*lines, *played])
            rewards = [line["reward_own"] for line in played]
            self.watcher.advanced(run, round_ + 1, sum(rewards) / len(rewards))
            if (round_ + 1) % self.config.checkpoint_every == 0:
                save(checkpoints, nodes)

    async def _play(self, nodes: Sequence[Node], round_: int) -> list[Line]:
        """One round: everybody generates, all is exchanged, everybody learns."""
        sampled = [await node.sample(round_) for node in nodes]
        began = time.perf_counter()
        envelopes = await self.exchange.gather(round_, [e for each in sampled for e in each.envelopes])
        market = await open_market(
            envelopes,
            manifest=self.manifest,
            verification=self._verification,
            now=float(self.manifest.round_start(round_)),
        )
        verifying_s = (time.perf_counter() - began) / len(nodes)
        lines = []
        for number, (node, own) in enumerate(zip(nodes, sampled, strict=True)):
            trained = node.learn(own.training, market.seen_by(node.peer_id), round_)
            rejected = sum(publisher == node.peer_id for publisher, _ in market.rejected)
            lines.append(node_line(round_, number, own, trained, rejected, verifying_s))
        return lines

    async def _evaluate(self, nodes: Sequence[Node], rounds: int) -> list[Line]:
        return [
            held_out_line(
                rounds,
                number,
                await evaluate(
                    node.policy, self.tasks, self._questions, manifest=self.manifest, in_model_thread=_here
                ),
            )
            for number, node in enumerate(nodes)
        ]


async def _here(call: Callable[[], T]) -> T:
    """The model is used from one thread only, and this is it."""
    return call()


def cumulative_own(lines: Sequence[Line]) -> float:
    """Mean own reward summed over rounds and nodes."""
    return math.fsum(line["reward_own"] for line in lines if line["kind"] == "node")
