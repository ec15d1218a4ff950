"""The nodes of a run: planned once per model, loaded anew for each run, saved and restored together.

One checkpoint holds all nodes of a process, so that a kill never leaves them at different rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import cast

from pydantic import JsonValue
from torch import Tensor

from protocol import Manifest
from swarmd.config import LearningConfig, PolicyConfig
from swarmd.errors import ConfigError
from swarmd.experiment.attacker import Attacker, Oracle, gym_answer
from swarmd.experiment.attacks import Attack
from swarmd.experiment.config import JUDGES, Arm, ExperimentConfig
from swarmd.experiment.describing import header
from swarmd.experiment.journal import Line
from swarmd.experiment.node import Node
from swarmd.experiment.schedule import RunSpec
from swarmd.experiment.seeding import node_key, node_seed
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import HardwarePlan
from swarmd.judges import Panel, calibrate, load_models
from swarmd.judges.calibration import Calibration
from swarmd.judges.interface import Key, ModelJudge
from swarmd.learning import Trainer, group_sampler, policy_algorithm
from swarmd.model import model_fingerprint
from swarmd.policy import Policy, load_policy, prepare_plan
from swarmd.step.mixing import largest_mix
from swarmd.step.progress import Progress
from swarmd.step.suiting import images_expected, shows_images
from swarmd.storage import Checkpoint, Checkpoints
from swarmd.tasks import TaskRunner

RATES_FILE = "rates.json"  # speed of the device, measured once per folder


@dataclass
class Population:
    """Creates the nodes of any run of an experiment. `folder` keeps what is measured about the machine."""

    config: ExperimentConfig
    manifest: Manifest
    tasks: TaskRunner
    folder: Path
    oracle: Oracle = gym_answer
    """What attackers know."""
    calibrations: dict[tuple[bytes, Key], Calibration] = field(default_factory=dict)
    """Calibration of the judges, by task id and judge."""
    _plans: dict[str, HardwarePlan] = field(default_factory=dict)

    @cached_property
    def judge_models(self) -> Mapping[Key, ModelJudge]:
        """The judge models, loaded once for all nodes. Raises ConfigError, ModelError."""
        arm = self.config.configurations[0]
        learning = self.config.learning_of(arm, self.config.rates_of(arm)[0])
        return load_models(self.manifest, learning, "cpu")

    def panel(self) -> Panel:
        """Return judges with their own ballots, as each peer has them."""
        panel = Panel(self.manifest, self.judge_models)
        panel.calibrations = self.calibrations
        return panel

    async def calibrate(self) -> None:
        """Measure the judges once for all nodes. Raises TaskError, ModelError."""
        if not self.calibrations and self.judge_models:
            first = self.panel()
            await calibrate(first, self.tasks, self.manifest)
            self.calibrations = first.calibrations

    def check(self) -> None:
        """Load every model once, and reject what only the tokenizers can show to be impossible.

        Raises ConfigError, and ModelError for a model that is unknown or does not fit.
        """
        _check_folders(self.config)
        fingerprints = {
            self._load(policy).tokenizer_fingerprint
            for policy in dict.fromkeys(map(self.config.policy_of, range(self.config.nodes)))
        }
        for arm in self.config.configurations:
            learning = self.config.learning_of(arm, self.config.rates_of(arm)[0])
            if arm.external and learning.needs_same_tokenizer and len(fingerprints) > 1:
                raise ConfigError(
                    f"configurations: {arm.label}: learning.external_loss: {learning.external_loss} compares "
                    "tokens one by one, but the models have different tokenizers: use topr, imitate or as_own"
                )
            if learning.asks_the_same:
                _check_same_questions(self.config, arm, learning)

    def nodes(self, run: RunSpec, indices: Iterable[int]) -> dict[int, Node]:
        """Return the learning nodes of `run` among `indices`, in their initial state."""
        return {index: self._node(run, index) for index in indices if index not in run.arm.attackers}

    def attackers(self, run: RunSpec, indices: Iterable[int]) -> dict[int, Attacker]:
        """Return the attacking nodes of `run` among `indices`."""
        attack = self.config.attack_of(run.arm)
        if attack is None:
            return {}
        return {index: self._attacker(run, index, attack) for index in indices if index in run.arm.attackers}

    @cached_property
    def fingerprints(self) -> list[str]:
        """Return one fingerprint per node's model; a single one if all have the same. Raises ModelError."""
        names = self.config.models or (self.config.policy.model,)
        found = {name: model_fingerprint(name) for name in dict.fromkeys(names)}
        return [found[name] for name in names]

    @cached_property
    def judge_fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of judges that the experiment itself names, by their key of [learning].
        Raises ModelError.
        """
        return {
            key: model_fingerprint(self.config.learning[key]) for key in JUDGES if key in self.config.learning
        }

    def header(self, run: RunSpec) -> Line:
        """Return the first line of `run`. Raises ModelError."""
        return header(
            self.config, self.manifest, run, self.fingerprints, self.judge_fingerprints, self.reasons()
        )

    def reasons(self) -> dict[str, list[str]]:
        """By model: why it runs the way it does, in sentences for people."""
        return {model: list(plan.reasons) for model, plan in self._plans.items()}

    def _node(self, run: RunSpec, index: int) -> Node:
        learning = self.config.learning_of(run.arm, run.rate)
        policy = self._load(self.config.policy_of(index))
        return Node(
            node_key(run.seed, index),
            manifest=self.manifest,
            own_tasks=self._tasks_of(index),
            policy=policy,
            trainer=Trainer(policy, learning),
            sampler=group_sampler(learning),
            progress=Progress.fresh(node_seed(run.seed, index)),
            tasks=self.tasks,
            arm=run.arm,
            learning=learning,
            panel=self.panel(),
            asks_as=node_key(run.seed, 0 if learning.asks_the_same else index).peer_id,
        )

    def _attacker(self, run: RunSpec, index: int, attack: Attack) -> Attacker:
        return Attacker(
            node_key(run.seed, index),
            manifest=self.manifest,
            own_tasks=self._tasks_of(index),
            policy=self._load(self.config.policy_of(index)),
            tasks=self.tasks,
            oracle=self.oracle,
            attack=attack,
            groups=run.arm.local,
            group_size=self.config.learning_of(run.arm, run.rate).group_size,
        )

    def _tasks_of(self, node: int) -> Manifest:
        if not self.config.node_tasks:
            return self.manifest
        wanted = self.config.node_tasks[node]
        tasks = tuple(task for task in self.manifest.tasks if task.name in wanted)
        return self.manifest.model_copy(update={"tasks": tasks})

    def _load(self, policy: PolicyConfig) -> Policy:
        if policy.model not in self._plans:
            self._plans[policy.model] = self._plan(policy)
        return load_policy(
            policy,
            self._plans[policy.model],
            max_new_tokens=self.manifest.max_new_tokens,
            sees=shows_images(self.manifest) is not False,
        )

    def _plan(self, policy: PolicyConfig) -> HardwarePlan:
        """Return a plan for the largest step of any configuration."""
        arms = self.config.configurations
        learning = [self.config.learning_of(arm, self.config.rates_of(arm)[0]) for arm in arms]
        limit = self.manifest.max_new_tokens
        mixes = [largest_mix(settings) for settings in learning]
        own = max(mix.local for mix in mixes)
        work = Workload(
            own_groups=own,
            external_groups=max(mix.local + mix.external for mix in mixes) - own,
            group_size=max(settings.group_size for settings in learning),
            new_tokens=min(policy.max_new_tokens or limit, limit),
            images=images_expected(self.manifest),
            reference=any(settings.kl_coefficient > 0 for settings in learning),
            values=any(policy_algorithm(settings, limit).with_values for settings in learning),
        )
        budgets = [settings.token_budget for settings in learning if settings.token_budget is not None]
        return prepare_plan(
            policy,
            work,
            train_tokens=max(budgets, default=None),
            rates_cache=self.folder / RATES_FILE,
        ).plan


def save(checkpoints: Checkpoints, nodes: Sequence[Node]) -> None:
    """Write all nodes as they are between two rounds. Raises StorageError, in which case nothing is lost."""
    tensors: dict[str, Tensor] = {}
    optimizer: dict[str, Tensor] = {}
    for index, node in enumerate(nodes):
        tensors |= {f"{index}/{k}": v for k, v in node.policy.trainable_state(live=True).items()}
        optimizer |= {f"{index}/{k}": v for k, v in node.trainer.state_dict(live=True).items()}
    progress: list[JsonValue] = [cast(JsonValue, node.progress.to_state()) for node in nodes]
    replay: list[JsonValue] = [node.replay.to_state() for node in nodes]
    checkpoints.save(
        nodes[0].progress.step,
        tensors=tensors,
        optimizer=optimizer,
        state={"progress": progress, "replay": replay},
    )


def restore(checkpoint: Checkpoint, nodes: Sequence[Node]) -> None:
    """Restore what `save` wrote. Raises ModelError if it belongs to other models."""
    progress = cast(list[JsonValue], checkpoint.state["progress"])
    for index, (node, state) in enumerate(zip(nodes, progress, strict=True)):
        node.policy.load_trainable_state(_part(checkpoint.tensors, index))
        node.trainer.load_state_dict(_part(checkpoint.optimizer, index))
        node.progress.restore(state)
    for node, kept in zip(nodes, cast(list[JsonValue], checkpoint.state.get("replay", [])), strict=False):
        node.replay.restore(kept)


def _part(tensors: Mapping[str, Tensor], node: int) -> dict[str, Tensor]:
    prefix = f"{node}/"
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _check_same_questions(config: ExperimentConfig, arm: Arm, learning: LearningConfig) -> None:
    """Raise ConfigError if not all nodes can be asked the same questions, or if not all groups reach every
    node.
    """
    why = f"configurations: {arm.label}: learning.external_baseline: {learning.external_baseline}"
    if config.exchange == "daemons" or config.node_tasks:
        raise ConfigError(
            f"{why} needs the same questions on all nodes, unlike daemons and nodes with node_tasks: use "
            "exchange process or distributed without node_tasks, or external_baseline group or shared"
        )
    needed = arm.local * (config.nodes - 1)
    if arm.external != needed:
        raise ConfigError(f"{why} needs the groups of all other nodes: set external to {needed}")


def _check_folders(config: ExperimentConfig) -> None:
    """Raise ConfigError for a model folder that does not exist. Hub ids and model names are not checked."""
    for model in dict.fromkeys(config.policy_of(node).model for node in range(config.nodes)):
        if Path(model).is_absolute() and not Path(model).is_dir():
            key = "models" if config.models else "policy.model"
            raise ConfigError(
                f"{key}: there is no folder {model}: make it first; `python examples/make_base_policies.py` "
                "makes those of the examples, and the head of each example explains how"
            )
