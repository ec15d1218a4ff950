"""One run as a real swarm on this machine: a `swarmd join` per node, connected over libp2p.

Each daemon takes its steps at its own pace; in the lines that are written, a step counts as a round. Groups
arrive as the network delivers them, from this round or an earlier one. A daemon that has finished its steps
leaves the others. Identities, and with them the questions, are the same as with the other exchanges.

    FOLDER/homes/RUN/node-0/    home of a daemon, with its log in daemon.log; kept when the run is finished
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from protocol import Manifest
from swarmd.config import PolicyConfig
from swarmd.errors import StorageError
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.exam import Exam
from swarmd.experiment.exchanges.local_swarm import Daemon, live
from swarmd.experiment.exchanges.node_homes import (
    HOST,
    address_of,
    lines_of,
    make_home,
    newest_checkpoint,
    write_settings,
)
from swarmd.experiment.journal import ROUNDS_FILE, Journal, Line
from swarmd.experiment.population import Population
from swarmd.experiment.rounds import Watcher, cumulative_own
from swarmd.experiment.schedule import RunSpec
from swarmd.experiment.seeding import node_key
from swarmd.fleet import give_ports
from swarmd.policy import Policy
from swarmd.storage import Home
from swarmd.tasks import Example, TaskRunner, solved_examples

HOMES = "homes"


@dataclass
class DaemonSwarms:
    """Runs an experiment's runs as daemons, whose homes are in `folder`."""

    config: ExperimentConfig
    manifest: Manifest
    folder: Path
    tasks: TaskRunner
    watcher: Watcher

    def __post_init__(self) -> None:
        self._population = Population(self.config, self.manifest, self.tasks, self.folder)
        self._exam = Exam(self.manifest, self.tasks, self.config.held_out_questions)
        self._examples: tuple[Example, ...] = ()

    def check(self) -> None:
        """Reject what cannot be run this way. Raises ConfigError, ModelError."""
        self._population.check()

    def refuse_another(self, run: RunSpec, directory: Path) -> None:
        """Raise ConfigError if `directory` contains `run` of a different experiment; StorageError."""
        Journal(directory / ROUNDS_FILE).refuse_another(self._population.header(run))

    async def play(self, run: RunSpec, directory: Path) -> float:
        """Finish `run` unless it is finished. Returns its cumulative own reward.

        Continues from what a kill left in the homes. Raises ConfigError if the directory belongs to a
        different experiment, StorageError, ModelError, TaskError, and SwarmdError if a daemon fails.
        """
        journal = Journal(directory / ROUNDS_FILE)
        journal.begin(self._population.header(run))
        if not journal.is_finished():
            lines = await self._finish(run)
            journal.cut_back(0)
            journal.append([*lines, {"kind": "end"}])
        self.watcher.advanced(run, self.config.rounds_of(run.arm), None)
        return cumulative_own(journal.lines())

    async def _finish(self, run: RunSpec) -> list[Line]:
        """Play `run`. Returns all of its lines but the first and the last."""
        nodes, rounds = range(self.config.nodes), self.config.rounds_of(run.arm)
        self._examples = await solved_examples(self.tasks, self.manifest, self.config.policy.examples or 0)
        before = [await self._exam.line(0, node, self._policy(run, node)) for node in nodes]
        homes = self._homes(run)
        await self._live(run, homes)
        played = [line for node, home in enumerate(homes) for line in lines_of(home, node, rounds)]
        after = [
            await self._exam.line(rounds, node, self._trained(run, node, home))
            for node, home in enumerate(homes)
        ]
        return [*before, *sorted(played, key=lambda line: (line["round"], line["node"])), *after]

    def _homes(self, run: RunSpec) -> list[Home]:
        """Return one home per node; each has the addresses of all others."""
        folder, nodes = self.folder / HOMES / run.name, range(self.config.nodes)
        homes = [make_home(folder / f"node-{n}", node_key(run.seed, n), self.manifest) for n in nodes]
        give_ports(homes, HOST)
        addresses = [address_of(home) for home in homes]
        for node, home in enumerate(homes):
            write_settings(
                home,
                self.manifest,
                [address for address in addresses if address != addresses[node]],
                policy=_with_a_share(self.config.policy_of(node), self.config.nodes),
                learning=self.config.learning_of(run.arm, run.rate),
                checkpoint_every=self.config.checkpoint_every,
            )
        return homes

    async def _live(self, run: RunSpec, homes: Sequence[Home]) -> None:
        rounds = self.config.rounds_of(run.arm)
        saved = [newest_checkpoint(home) for home in homes]
        daemons = [
            Daemon(home, rounds, 0 if checkpoint is None else checkpoint.step)
            for home, checkpoint in zip(homes, saved, strict=True)
        ]
        await live(
            [daemon for daemon in daemons if daemon.done < rounds],
            lambda steps, reward: self.watcher.advanced(run, steps, reward),
        )

    def _policy(self, run: RunSpec, node: int) -> Policy:
        policy = self._population.nodes(run, [node])[node].policy
        if self._examples:
            policy.examples = self._examples  # the daemon shows the same
        return policy

    def _trained(self, run: RunSpec, node: int, home: Home) -> Policy:
        """Return the policy as its daemon left it."""
        checkpoint = newest_checkpoint(home)
        if checkpoint is None:
            raise StorageError(f"{home.path} has no checkpoint: remove {home.path.parent} to play again")
        policy = self._policy(run, node)
        policy.load_trainable_state(checkpoint.tensors)
        return policy


def _with_a_share(policy: PolicyConfig, nodes: int) -> PolicyConfig:
    """Divide a percentage of free memory among the daemons, which start together; a size applies to each."""
    limit = policy.memory_limit.strip()
    if not limit.endswith("%"):
        return policy
    return policy.model_copy(update={"memory_limit": f"{float(limit.removesuffix('%')) / nodes:.4g}%"})
