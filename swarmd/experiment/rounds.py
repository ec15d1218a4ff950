"""One run, round by round: all nodes generate, exchange their groups, and learn. Resumable.

It is played by one process or by several, each with a share of the nodes (`exchanges`). Rank 0 gathers and
writes the lines, in the order of the nodes.

    DIRECTORY/rounds.jsonl     what happened (`journal`)
    DIRECTORY/checkpoints*/    a process's nodes during the run; removed when it is finished, or by the
                               next start if a kill came in between
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from protocol import Manifest
from swarmd.experiment.attacker import Attacker, Oracle, gym_answer
from swarmd.experiment.attacks import Attack
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.describing import Verified, attacker_line, node_line, versions
from swarmd.experiment.exam import Exam
from swarmd.experiment.exchanges.interface import RoundExchange, agreed, everybodys, share_of
from swarmd.experiment.journal import ROUNDS_FILE, Journal, Line
from swarmd.experiment.metering import Meter, Spent
from swarmd.experiment.node import Node
from swarmd.experiment.population import Population, restore, save
from swarmd.experiment.round_groups import round_groups, verify
from swarmd.experiment.schedule import RunSpec
from swarmd.step.verification import Verification
from swarmd.storage import Checkpoint, Checkpoints
from swarmd.tasks import TaskRunner, solved_examples

CHECKPOINTS = "checkpoints"
CHECKPOINTS_KEPT = 2  # the newest, and a spare in case it is damaged or another rank was killed before saving


class Watcher(Protocol):
    """Receives the progress of the runs."""

    def planned(self, runs: Sequence[RunSpec]) -> None: ...
    def advanced(self, run: RunSpec, rounds: int, reward_own: float | None) -> None: ...


@dataclass
class Rounds:
    """Plays runs of an experiment. `folder` keeps what is measured about the machine."""

    config: ExperimentConfig
    manifest: Manifest
    folder: Path
    tasks: TaskRunner
    watcher: Watcher
    exchange: RoundExchange
    oracle: Oracle = gym_answer
    """What attackers know."""

    def __post_init__(self) -> None:
        config = self.config
        if self.exchange.device is not None:
            policy = config.policy.model_copy(update={"device": self.exchange.device})
            config = config.model_copy(update={"policy": policy})
        self._population = Population(config, self.manifest, self.tasks, self.folder, self.oracle)
        self._exam = Exam(self.manifest, self.tasks, self.config.held_out_questions)
        self._indices = share_of(self.config.nodes, self.exchange)
        self._meter = Meter(self.tasks)

    def check(self) -> None:
        """Reject what cannot be played. Raises ConfigError, ModelError."""
        self._population.check()

    def refuse_another(self, run: RunSpec, directory: Path) -> None:
        """Raise ConfigError if `directory` contains `run` of a different experiment; StorageError."""
        Journal(directory / ROUNDS_FILE).refuse_another(self._population.header(run))

    async def play(self, run: RunSpec, directory: Path) -> float:
        """Finish `run` unless it is finished. Returns its cumulative own reward.

        Raises ConfigError if the directory belongs to a different experiment, StorageError, ModelError,
        TaskError, and SwarmdError if another rank is lost.
        """
        journal = Journal(directory / ROUNDS_FILE)
        if self._leads:
            journal.begin(self._population.header(run))
        if agreed(self.exchange, f"state of {run.name}", self._leads and journal.is_finished()):
            self.watcher.advanced(run, self.config.rounds_of(run.arm), None)
        else:
            await self._finish(run, journal, directory)
        # The run is written; another rank may get here earlier.
        if self._leads and not self.config.keep_checkpoints:
            _remove_checkpoints(directory)
        reward = cumulative_own(journal.lines()) if self._leads else 0.0
        return agreed(self.exchange, f"reward of {run.name}", reward)

    @property
    def _leads(self) -> bool:
        return self.exchange.rank == 0

    async def _finish(self, run: RunSpec, journal: Journal, directory: Path) -> None:
        rank, ranks = self.exchange.rank, self.exchange.ranks
        name = CHECKPOINTS if ranks == 1 else f"{CHECKPOINTS}-{rank}-of-{ranks}"
        checkpoints = Checkpoints(directory / name, CHECKPOINTS_KEPT)
        nodes = self._population.nodes(run, self._indices)
        unended = self.config.learning_of(run.arm, run.rate).unended
        await self._population.calibrate()
        panel = self._population.panel()
        self._exam.panel = panel
        self._verification = Verification(
            manifest=self.manifest, tasks=self.tasks, unended=unended, panel=panel
        )
        attackers = self._population.attackers(run, self._indices)
        await self._show_examples(nodes.values())
        done = self._resume(journal, checkpoints, list(nodes.values()))
        self.watcher.advanced(run, done, None)
        await self._rounds(run, nodes, attackers, journal, checkpoints, done)
        self._write(journal, [*await self._evaluate(nodes, self.config.rounds_of(run.arm)), {"kind": "end"}])

    async def _show_examples(self, nodes: Iterable[Node]) -> None:
        """Put as many solved examples before each question as `policy.examples` says."""
        wanted = self.config.policy.examples
        if wanted:
            examples = await solved_examples(self.tasks, self.manifest, wanted)
            for node in nodes:
                node.policy.examples = examples

    def _resume(self, journal: Journal, checkpoints: Checkpoints, nodes: Sequence[Node]) -> int:
        """Go back to the newest checkpoint that every rank has. Returns how many rounds are done.

        Starts over if the journal does not lead up to it, because a damaged journal was removed.
        """
        checkpoint = self._common(checkpoints, journal.rounds() if self._leads else None)
        if checkpoint is not None:
            restore(checkpoint, nodes)
        done = 0 if checkpoint is None else checkpoint.step
        if self._leads:
            has_begun = len(journal.lines()) > 1
            journal.cut_back(done)
            if has_begun:
                journal.append([{"kind": "resumed", "round": done, "versions": versions()}])
        return done

    def _common(self, checkpoints: Checkpoints, at_most: int | None) -> Checkpoint | None:
        """Return the newest checkpoint that all ranks have: a rank that was killed before its last save holds
        the others back.
        """
        while True:
            checkpoint = checkpoints.load_latest(at_most=at_most)
            steps = everybodys(self.exchange, "checkpoints", [checkpoint.step if checkpoint else 0])
            if len(set(steps)) == 1:
                return checkpoint
            at_most = min(steps)

    async def _rounds(
        self,
        run: RunSpec,
        nodes: Mapping[int, Node],
        attackers: Mapping[int, Attacker],
        journal: Journal,
        checkpoints: Checkpoints,
        done: int,
    ) -> None:
        attack, rounds = self.config.attack_of(run.arm), self.config.rounds_of(run.arm)
        for round_ in range(done, rounds):
            lines = await self._evaluate(nodes, round_) if round_ % self.config.evaluate_every == 0 else []
            played = await self._play(nodes, attackers, attack, round_)
            self._write(journal, [*lines, *played])
            rewards = [line["reward_own"] for line in played if line["kind"] == "node"]
            self.watcher.advanced(run, round_ + 1, sum(rewards) / len(rewards))
            kept = self.config.keep_checkpoints and round_ + 1 == rounds
            if kept or (round_ + 1) % self.config.checkpoint_every == 0:
                save(checkpoints, list(nodes.values()))

    def _write(self, journal: Journal, lines: Sequence[Line]) -> None:
        if self._leads:
            journal.append(lines)

    async def _play(
        self,
        nodes: Mapping[int, Node],
        attackers: Mapping[int, Attacker],
        attack: Attack | None,
        round_: int,
    ) -> list[Line]:
        """Play one round. Returns the lines of all ranks."""
        sampled = {index: await node.sample(round_) for index, node in nodes.items()}
        poisoned = {index: await attacker.publish(round_) for index, attacker in attackers.items()}
        published = {index: each.envelopes for index, each in sampled.items()} | poisoned
        envelopes = [envelope for index in sorted(published) for envelope in published[index]]
        outcomes, each_record = await self._verify(envelopes, round_)
        exchanged = round_groups(self.exchange.gather(f"groups of round {round_}", outcomes))
        lines = []
        for index, node in nodes.items():
            groups = sampled[index]
            trained = node.learn(groups.training, exchanged.for_node(node.peer_id), round_)
            records = exchanged.pulled_by(node.peer_id, trained.wanted)
            verified = Verified(records, each_record.times(records))
            rejected = exchanged.rejected_of(node.peer_id)
            lines.append(node_line(round_, index, groups, trained, rejected, verified, attack))
        for index, attacker in attackers.items():
            rejected = exchanged.rejected_of(attacker.peer_id)
            lines.append(attacker_line(round_, index, len(poisoned[index]), rejected))
        return everybodys(self.exchange, f"lines of round {round_}", lines)

    async def _verify(self, envelopes: Sequence[bytes], round_: int) -> tuple[list[bytes], Spent]:
        """Return the outcome of each record, and what verifying one of them cost."""
        self._meter.begin()
        outcomes = await verify(
            envelopes,
            manifest=self.manifest,
            verification=self._verification,
            now=float(self.manifest.round_start(round_)),
        )
        return outcomes, self._meter.lap().times(1 / max(1, len(envelopes)))

    async def _evaluate(self, nodes: Mapping[int, Node], rounds: int) -> list[Line]:
        """Return the held-out lines of all ranks."""
        lines = [await self._exam.line(rounds, index, node.policy) for index, node in nodes.items()]
        return everybodys(self.exchange, f"evaluation after {rounds} rounds", lines)


def _remove_checkpoints(directory: Path) -> None:
    """Remove those of all ranks, including those of a start with a different number of ranks."""
    for left in directory.glob(f"{CHECKPOINTS}*"):
        shutil.rmtree(left, ignore_errors=True)


def cumulative_own(lines: Sequence[Line]) -> float:
    """Return the mean own reward, summed over rounds and nodes."""
    return math.fsum(line["reward_own"] for line in lines if line["kind"] == "node")
