"""The lines written about a run: settings and versions, a node's round, an evaluation. Plain JSON values."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from protocol import Manifest
from swarmd import __version__
from swarmd.experiment.attacks import Attack
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.journal import FORMAT, Line
from swarmd.experiment.metering import PHASES, Phase, Spent, Unit
from swarmd.experiment.node import Sampled, Trained
from swarmd.experiment.schedule import RunSpec
from swarmd.finite import finite
from swarmd.groups import ScoredGroup
from swarmd.step.evaluation import Evaluation, Result

NOT_OF_A_RUN = {
    "seeds", "configurations", "learning", "learning_rates", "sweep_seeds", "baseline", "checkpoint_every",
    "keep_checkpoints", "specialities", "models", "attacks",
}  # fmt: skip
"""Settings that determine which runs exist, or that change nothing within one. Models are identified by their
files.
"""

NOT_OF_A_CONFIGURATION = {"name", "rounds", "learning", "learning_rates", "attack", "attackers"}
"""Settings of a configuration that are written elsewhere in the line, or are only names."""

PACKAGES = ("torch", "transformers", "peft", "reasoning-gym")


def header(
    config: ExperimentConfig,
    manifest: Manifest,
    run: RunSpec,
    fingerprints: list[str],
    judges: dict[str, str],
    reasons: dict[str, list[str]],
) -> Line:
    """The first line of a run: everything that decides how it goes, and what it ran on.

    Two models are the same if their files are: `fingerprints` has one per node's model, `judges` one per key
    of [learning] that names a judge. Where the files lie, which the keys of `plan` tell, decides nothing.
    """
    attack = config.attack_of(run.arm)
    settings = config.model_dump(mode="json", exclude=NOT_OF_A_RUN)
    del settings["policy"]["model"]
    settings |= {
        "rounds": config.rounds_of(run.arm),
        "model_files_sha256": fingerprints,
        "swarm_id": manifest.swarm_id.hex(),
        "configuration": {
            "label": run.arm.label,
            **run.arm.model_dump(mode="json", exclude=NOT_OF_A_CONFIGURATION),
        },
        "learning": config.learning_of(run.arm, run.rate).model_dump(mode="json") | judges,
        "seed": run.seed,
        "sweep": run.sweep,
    }
    if attack is not None:
        payload = attack.model_dump(mode="json", exclude={"name"})
        settings["attack"] = payload | {"attackers": sorted(run.arm.attackers)}
    return {"kind": "run", "format": FORMAT, "settings": settings, "versions": versions(), "plan": reasons}


def versions() -> dict[str, str]:
    """Return the versions of everything that affects an experiment."""
    found = {"swarmd": __version__, "python": platform.python_version(), "machine": platform.platform()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a node verified of others in one round."""

    records: int
    spent: Spent


def node_line(
    round_: int,
    node: int,
    sampled: Sampled,
    trained: Trained,
    rejected: int,
    verified: Verified,
    attack: Attack | None = None,
) -> Line:
    """Return the line about one node's round.

    `reward_own` is over the first I groups that the node generated: all of them, unless some were replaced.
    It is the success of the node's policy. `reward_mixed` is over what it trained on, including external
    groups: the paper's metric. `seconds` are wall-clock, `cpu_seconds` CPU time, and `units` is the work done
    in them. `finished_share` is the share of its completions that ended by themselves, in their last turn;
    `payload_share` is the share that carries the payload of `attack`. `truth_own` is what verifiers say about
    completions that judges rewarded.
    """
    metrics = trained.metrics
    texts = [completion.text for group in sampled.groups for completion in group.completions]
    spent: Mapping[Phase, Spent] = {
        **sampled.spent,
        "verifying": verified.spent,
        "training": trained.spent,
    }
    used = metrics.groups_own_used + metrics.groups_external_used
    return {
        "kind": "node",
        "round": round_,
        "node": node,
        "reward_own": _mean_reward(sampled.asked),
        "reward_mixed": _mean_reward((*sampled.training, *trained.external)),
        "own_by_task": _by_task(sampled.groups),
        "external_by_task": _by_task(trained.external),
        "groups_generated": len(sampled.groups),
        "groups_published": len(sampled.envelopes),
        "groups_rejected": rejected,
        "external_share": metrics.groups_external_used / used if used else None,
        "external_peers": len({trained.external[n].publisher for n in metrics.external_used}),
        "tokens_generated": sampled.tokens,
        "completions_generated": len(texts),
        "finished_share": sampled.ended / len(texts),
        "payload_share": _payload_share(texts, attack),
        "unscored": sampled.unscored,
        "truth_own": sampled.truth,
        "metrics": finite(dataclasses.asdict(metrics)),
        "seconds": {phase: spent[phase].clock_s for phase in PHASES},
        "cpu_seconds": {phase: spent[phase].cpu_s for phase in PHASES},
        "units": _units(sampled, trained, verified),
    }


def _units(sampled: Sampled, trained: Trained, verified: Verified) -> dict[Unit, int]:
    """Return how much work a node did in a round, by unit."""
    metrics = trained.metrics
    return {
        "questions": len(sampled.groups),
        "decoding_steps": sampled.decoding_steps,
        "tokens_generated": sampled.tokens,
        "completions_scored": sum(len(group.completions) for group in sampled.groups),
        "records_signed": len(sampled.envelopes),
        "records_verified": verified.records,
        "updates": metrics.updates,
        "tokens_trained_own": metrics.tokens_own_trained,
        "tokens_trained_external": metrics.tokens_external_trained,
        "tokens_trained_lessons": metrics.tokens_lessons_trained,
    }


def attacker_line(round_: int, node: int, published: int, rejected: int) -> Line:
    """Return the line about an attacker's round: how many groups it published, and how many were refused."""
    return {
        "kind": "attacker",
        "round": round_,
        "node": node,
        "groups_published": published,
        "groups_rejected": rejected,
    }


def _payload_share(texts: Sequence[str], attack: Attack | None) -> float | None:
    """Return None if no payload is searched for."""
    if attack is None or attack.marker is None or not texts:
        return None
    return sum(attack.marker in text for text in texts) / len(texts)


def held_out_line(rounds: int, node: int, evaluation: Evaluation, judged: float | None = None) -> Line:
    """Return greedy success after `rounds` rounds, on held-out questions of all tasks of the swarm. `judged`
    is the mean reward that the judges would give the same answers.
    """
    return {
        "kind": "held_out",
        "round": rounds,
        "node": node,
        **_result(evaluation.total),
        "tasks": {name: _result(result) for name, result in evaluation.tasks.items()},
        "judged": judged,
    }


def _result(result: Result) -> dict[str, Any]:
    return {"success": result.success, "questions": result.questions}


def _by_task(groups: tuple[ScoredGroup, ...]) -> dict[str, Any]:
    """By task name: the number of groups, and their mean reward."""
    names = sorted({group.task_name for group in groups})
    of = {name: tuple(group for group in groups if group.task_name == name) for name in names}
    return {name: {"groups": len(some), "reward": _mean_reward(some)} for name, some in of.items()}


def _mean_reward(groups: tuple[ScoredGroup, ...]) -> float | None:
    rewards = [reward for group in groups for reward in group.rewards]
    return sum(rewards) / len(rewards) if rewards else None
