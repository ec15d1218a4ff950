"""What an experiment is: one frozen object, read from TOML and checked as a whole before anything runs.

name, nodes, rounds, seeds, swarm, evaluate_every, held_out_questions, checkpoint_every,
keep_checkpoints, exchange
learning_rates, sweep_seeds                the sweep; each configuration may name its own rates
models, node_tasks, specialities           one entry per node; unset: all nodes alike
[policy]   [learning]                      as in a peer's config.toml
[[attacks]]                                name, kind, text, marker: what attackers write
[[configurations]]                         local (I), external (J), kind, learning (overrides),
                                           attack, attackers
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from swarmd.config import LearningConfig, PolicyConfig
from swarmd.config.base import Slice
from swarmd.experiment.attacks import Attack
from swarmd.quoting import quoted
from swarmd.storage.steps import STEPS_MAX

NODES_MAX = 64  # one process holds every node's weights and optimiser in memory
CONFIGURATIONS_MAX = 32  # a longer table would not be read
ROUNDS_MAX = 1_000_000  # 500 times the paper's; a longer file would take minutes to read
SEEDS_MAX = 100  # more seeds are not worth their cost
RATES_MAX = 32  # five decades in half powers of two; each is a run of the sweep
PER_CONFIGURATION = ("local", "external", "learning_rate")
"""Keys of [learning] that are set per configuration and by the sweep."""
JUDGES = ("judge", "reward_model")
"""Keys of [learning] that name judge models, loaded once for all nodes of all configurations."""
TASK_LISTS = ("node_tasks", "specialities")
"""Keys with one list of task names per node."""


def _all_different(rates: tuple[float, ...]) -> tuple[float, ...]:
    if len(set(rates)) < len(rates):
        raise ValueError("a rate is listed twice but would run only once: remove one")
    return rates


Rate = Annotated[float, Field(gt=0, le=1)]
Rates = Annotated[tuple[Rate, ...], Field(max_length=RATES_MAX), AfterValidator(_all_different)]
Kind = Literal["sharing", "filtered_solo", "replay_solo"]
REPLAY_ROUNDS_MAX = 100  # older groups are far off-policy, and all are held in memory
Exchange = Literal["process", "distributed", "daemons"]


class Arm(Slice):
    """One configuration: what every node does in each round."""

    name: str | None = Field(None, pattern=r"^[\w./+-]{1,40}$")
    """Unset: I/J."""
    kind: Kind = "sharing"
    """sharing: I own and J external groups. filtered_solo: own groups that teach nothing are replaced.
    replay_solo: in addition, own groups of earlier rounds that taught are trained on again.
    """
    local: int = Field(ge=1, le=1024)
    """I: own groups trained on per round. At least 1: all nodes do the same, so each must generate."""
    external: int = Field(0, ge=0, le=1024)
    """J: external groups per round."""
    generated_max: int | None = Field(None, ge=1, le=4096)
    """filtered_solo only: the most own groups generated per round, informative or not."""
    replay_rounds: int | None = Field(None, ge=1, le=REPLAY_ROUNDS_MAX)
    """replay_solo only: number of rounds whose groups are used, including the current one."""
    replay_uses: int | None = Field(None, ge=2, le=REPLAY_ROUNDS_MAX)
    """replay_solo only: how often a group is trained on at most, including in its own round."""
    rounds: int | None = Field(None, ge=1, le=ROUNDS_MAX)
    """Unset: the experiment's. A configuration that generates less can have more rounds for the same number
    of tokens.
    """
    learning_rates: Rates = ()
    """Learning rates of this configuration's sweep; unset: the experiment's."""
    learning: dict[str, Any] = Field(default_factory=dict)
    """Settings of [learning] that differ in this configuration."""
    attack: str | None = None
    """Name of one of `attacks`. What honest nodes write is searched for its payload even without attackers.
    """
    attackers: tuple[int, ...] = ()
    """Indices of the nodes that make this attack. They do not learn and are left out of all numbers."""

    @property
    def label(self) -> str:
        """Its name in folders, tables and plots."""
        if self.name is not None:
            return self.name
        plain = f"{self.local}/{self.external}"
        return plain if self.kind == "sharing" else f"{plain}-{self.kind.removesuffix('_solo')}"

    @property
    def slug(self) -> str:
        """The label as part of a file name."""
        return self.label.replace("/", "_")

    @model_validator(mode="after")
    def _kind_and_groups_agree(self) -> Arm:
        if self.kind != "sharing" and self.external:
            raise ValueError(f"kind {self.kind} trains alone: set external to 0")
        replays = (self.replay_rounds, self.replay_uses)
        if self.kind == "replay_solo" and None in replays:
            raise ValueError("kind replay_solo needs replay_rounds and replay_uses, for example 6 and 4")
        if self.kind != "replay_solo" and replays != (None, None):
            raise ValueError(
                "replay_rounds and replay_uses are for kind replay_solo: remove them, or change the kind"
            )
        if self.kind != "filtered_solo" and self.generated_max is not None:
            raise ValueError("generated_max is for kind filtered_solo: remove it, or change the kind")
        if self.kind == "filtered_solo" and (self.generated_max or 0) < self.local:
            raise ValueError("kind filtered_solo needs generated_max, at least as large as local")
        return self

    @model_validator(mode="after")
    def _attackers_can_attack(self) -> Arm:
        if not self.attackers:
            return self
        if self.attack is None:
            raise ValueError("attackers are named, but no attack: set attack to one of attacks")
        if not self.external:
            raise ValueError("attackers reach no node if external is 0: raise it, or remove attackers")
        if len(set(self.attackers)) < len(self.attackers):
            raise ValueError("attackers: a node is listed twice")
        return self


class ExperimentConfig(Slice):
    """Everything that determines an experiment."""

    name: str = Field(pattern=r"^[\w .+-]{1,80}$")
    nodes: int = Field(ge=1, le=NODES_MAX)
    """Peers, each with its own weights, key, seeds and questions."""
    rounds: int = Field(ge=1, le=ROUNDS_MAX)
    """Number of rounds; every node takes one step in each."""
    seeds: int = Field(3, ge=1, le=SEEDS_MAX)
    """Runs of each configuration: seeds 0, 1, 2, ..."""
    swarm: str = "starter"
    """Tasks, reward rule and token limit: a preset or the path of a manifest."""
    exchange: Exchange = "process"
    """How groups travel. process: between nodes in one process. distributed: between ranks of torchrun.
    daemons: over libp2p, between one `swarmd join` per node.
    """
    learning_rates: Rates = Field((1e-4,), min_length=1)
    """With several rates, each configuration first runs with each of them, on separate seeds, and then with
    its best.
    """
    sweep_seeds: int = Field(1, ge=1, le=SEEDS_MAX)
    """Runs of each rate in the sweep. Their seeds are never those of the final runs."""
    baseline: str | None = None
    """Name of the configuration that gains are measured against; unset: the first that shares nothing."""
    evaluate_every: int = Field(25, ge=1)
    """Rounds between evaluations on held-out questions. There is also one before the first round and one at
    the end.
    """
    held_out_questions: int = Field(100, ge=1, le=10_000)
    """Per evaluation; the same for all nodes, spread over all tasks of the swarm."""
    checkpoint_every: int = Field(10, ge=1)
    """Rounds between checkpoints: at most this many are repeated after a kill."""
    keep_checkpoints: bool = False
    """Whether a finished run keeps its nodes' weights as they were after the last round."""
    models: tuple[str, ...] = ()
    """One per node, as policy.model; unset: policy.model for all."""
    node_tasks: tuple[tuple[str, ...], ...] = ()
    """One list per node: the names of the tasks that it trains on; unset: all tasks for all nodes."""
    specialities: tuple[tuple[str, ...], ...] = ()
    """One list per node: the tasks that its model is good at from the start. Only the report uses this."""
    policy: PolicyConfig = PolicyConfig()
    learning: dict[str, Any] = Field(default_factory=dict)
    """Settings of [learning] for all configurations, as in a peer's config.toml."""
    attacks: tuple[Attack, ...] = Field((), max_length=CONFIGURATIONS_MAX)
    """Payloads that configurations refer to by name."""
    configurations: tuple[Arm, ...] = Field(min_length=1, max_length=CONFIGURATIONS_MAX)

    def learning_of(self, arm: Arm, rate: float) -> LearningConfig:
        """Return the nodes' learning settings in this configuration. Raises ValidationError."""
        given = {**self.learning, **arm.learning}
        groups = {"local": arm.local, "external": arm.external, "learning_rate": rate}
        return LearningConfig.model_validate({**given, **groups})

    def rounds_of(self, arm: Arm) -> int:
        """Return the number of rounds of each run of `arm`."""
        return arm.rounds or self.rounds

    def rates_of(self, arm: Arm) -> tuple[float, ...]:
        """Return the learning rates to try with `arm`."""
        return arm.learning_rates or self.learning_rates

    def policy_of(self, node: int) -> PolicyConfig:
        """Return the model settings of a node."""
        return self.policy.model_copy(update={"model": self.models[node]}) if self.models else self.policy

    def attack_of(self, arm: Arm) -> Attack | None:
        """Return what the attackers of `arm` write, and what honest nodes' texts are searched for."""
        return next((attack for attack in self.attacks if attack.name == arm.attack), None)

    @property
    def baseline_label(self) -> str | None:
        """Return the configuration that gains are measured against; None if none is named and all share."""
        alone = (arm.label for arm in self.configurations if arm.kind == "sharing" and not arm.external)
        return self.baseline or next(alone, None)

    @model_validator(mode="after")
    def _one_entry_a_node(self) -> ExperimentConfig:
        for name in ("models", *TASK_LISTS):
            entries = getattr(self, name)
            if entries and len(entries) != self.nodes:
                raise ValueError(
                    f"{name} has {len(entries)} entries for {self.nodes} nodes: give one per node"
                )
        for name in TASK_LISTS:
            if any(not tasks for tasks in getattr(self, name)):
                raise ValueError(f"{name}: a node has no task: name at least one per node")
        return self

    @model_validator(mode="after")
    def _daemons_can_play_it(self) -> ExperimentConfig:
        if self.exchange != "daemons":
            return self
        if self.node_tasks:
            raise ValueError("node_tasks: a daemon trains on all tasks of its swarm: remove it for daemons")
        for arm in self.configurations:
            if self.rounds_of(arm) > STEPS_MAX:
                raise ValueError(
                    f"rounds: {arm.label}: a daemon remembers its last {STEPS_MAX} steps: use no more rounds"
                )
            if arm.kind != "sharing":
                raise ValueError(
                    f"configurations: {arm.label}: kind {arm.kind}: a daemon neither replaces nor repeats "
                    "groups: remove the configuration for daemons"
                )
        return self

    @model_validator(mode="after")
    def _attacks_are_possible(self) -> ExperimentConfig:
        names = [attack.name for attack in self.attacks]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"attacks: two are named {quoted(twice)}: give each its own name")
        for arm in self.configurations:
            if arm.attack is not None and arm.attack not in names:
                raise ValueError(
                    f"configurations: {arm.label}: attack {quoted(arm.attack)} is not one of attacks "
                    f"({', '.join(names) or 'there are none'})"
                )
            if any(not 0 <= node < self.nodes for node in arm.attackers):
                raise ValueError(
                    f"configurations: {arm.label}: attackers are indices of nodes, 0 to {self.nodes - 1}"
                )
            if len(arm.attackers) == self.nodes:
                raise ValueError(f"configurations: {arm.label}: all nodes attack: leave one that learns")
            if arm.attackers and self.exchange != "process":
                raise ValueError(
                    f"configurations: {arm.label}: attackers work with exchange process only: change "
                    "exchange, or remove attackers"
                )
        return self

    @model_validator(mode="after")
    def _configurations_are_possible(self) -> ExperimentConfig:
        times = Counter(arm.slug for arm in self.configurations)
        for arm in self.configurations:
            if times[arm.slug] > 1:
                raise ValueError(
                    f"configurations: {times[arm.slug]} are named {quoted(arm.label)}: give each its own name"
                )
        if self.baseline is not None and self.baseline not in {arm.label for arm in self.configurations}:
            raise ValueError(f"baseline: no configuration is named {quoted(self.baseline)}")
        for arm in self.configurations:
            offered = (self.nodes - 1) * arm.local
            if arm.external > offered:
                raise ValueError(
                    f"configurations: {arm.label} wants {arm.external} external groups per round, but "
                    f"{self.nodes} nodes offer each other {offered}: lower external, or raise nodes or local"
                )
        return self
