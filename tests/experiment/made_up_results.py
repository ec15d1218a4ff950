"""A results folder with known numbers, written as `swarmd experiment run` would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from swarmd.experiment import ExperimentConfig
from swarmd.experiment.metering import RECORDED, UNITS_OF
from swarmd.experiment.reporting.results import HeldOut, RunResults

NODES = 2
SECONDS = {"generating": 1.0, "scoring": 0.5, "verifying": 0.25, "training": 0.25}

CONFIG = ExperimentConfig.model_validate(
    {
        "name": "made up",
        "nodes": NODES,
        "rounds": 4,
        "seeds": 2,
        "configurations": [{"local": 4, "external": 0}, {"local": 2, "external": 2}],
    }
)


PRICES = dict.fromkeys((unit for units in UNITS_OF.values() for unit in units), 0.0) | {
    "tokens_generated": 0.02,
    "tokens_trained_own": 0.01,
    "tokens_trained_external": 0.01,
}
"""CPU seconds that a counted run takes per unit."""


def write_results(folder: Path, *, finished: bool = True, counted: bool = False) -> None:
    """8/0 earns 0.1 a round and node in seed 0 and 0.2 in seed 1, and generates 100 tokens; 2/2 earns twice
    as much and generates half as many. Held-out success rises from 0 to 0.5. `counted`: the rounds say what
    was done and what it took, at `PRICES`: 2.5 CPU seconds alone and 1.55 shared."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(CONFIG.model_dump(mode="json")))
    for arm, times, tokens, external in ((0, 1, 100, None), (1, 2, 50, 0.5)):
        for seed in range(2):
            lines = run_lines(arm, seed, 0.1 * (seed + 1) * times, tokens, external)
            if counted:
                lines = [line | _counts(line) if line["kind"] == "node" else line for line in lines]
            write_lines(folder, f"run-{arm}-{seed}", lines if finished else lines[:-1])


def _counts(line: dict[str, Any]) -> dict[str, Any]:
    metrics = line["metrics"]
    units = dict.fromkeys(RECORDED, 0) | {
        "tokens_generated": line["tokens_generated"],
        "tokens_trained_own": metrics["tokens_own"],
        "tokens_trained_external": metrics["tokens_external"],
    }
    cpu = {phase: sum(units.get(unit, 0) * PRICES[unit] for unit in of) for phase, of in UNITS_OF.items()}
    return {"units": units, "cpu_seconds": cpu}


def made_up_run(
    own: Sequence[float],
    *,
    label: str = "8/0",
    seed: int = 0,
    tokens: Sequence[float] | float = 10.0,
    seconds: float = 1.0,
    held_out: Sequence[float] = (0.0, 0.5),
) -> RunResults:
    """A run of one node, as it would be read: `own` reward and `tokens` by round, `held_out` success on one
    task at evaluations spread evenly from before the first round to the end."""
    rounds = len(own)
    reward, nothing = np.array(own)[:, None], np.full((rounds, 1), np.nan)
    success = np.array(held_out)[:, None]
    return RunResults(
        label=label,
        rate=1e-4,
        seed=seed,
        sweep=False,
        learners=(0,),
        reward_own=reward,
        reward_mixed=reward,
        tokens=np.broadcast_to(np.array(tokens, dtype=np.float64), rounds)[:, None],
        completions=nothing,
        entropy=nothing,
        finished=nothing,
        payload=nothing,
        phases={"generating": np.full((rounds, 1), seconds)},
        cpu={},
        counts={},
        trained_own=nothing,
        trained_external=nothing,
        external_share=nothing,
        surprisal=nothing,
        asked_by_task={},
        earned_by_task={},
        held_out=HeldOut(
            tuple(int(at) for at in np.linspace(0, rounds, len(held_out))), success, {"gcd": success}
        ),
        asked={},
        versions={},
        models=(),
        reasons=(),
    )


def write_lines(folder: Path, run: str, lines: list[dict[str, Any]]) -> None:
    directory = folder / "runs" / run
    directory.mkdir(parents=True)
    (directory / "rounds.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))


def run_lines(
    arm: int,
    seed: int,
    reward: float,
    tokens: int,
    external: float | None,
    *,
    rate: float = 1e-4,
    sweep: bool = False,
) -> list[dict[str, Any]]:
    settings = {
        "configuration": {"label": CONFIG.configurations[arm].label},
        "learning": {"learning_rate": rate},
        "seed": seed,
        "sweep": sweep,
        "nodes": NODES,
        "rounds": CONFIG.rounds,
        "swarm_id": "00" * 32,
        "node_tasks": [],
        "held_out_questions": 4,
    }
    lines: list[dict[str, Any]] = [{"kind": "run", "settings": settings, "versions": {}, "plan": {}}]
    lines += [held_out(0, node, 0.0) for node in range(NODES)]
    for round_ in range(CONFIG.rounds):
        lines += [played(round_, node, reward, tokens, external) for node in range(NODES)]
    lines += [held_out(CONFIG.rounds, node, 0.5) for node in range(NODES)]
    return [*lines, {"kind": "end"}]


def played(round_: int, node: int, reward: float, tokens: int, external: float | None) -> dict[str, Any]:
    return {
        "kind": "node",
        "round": round_,
        "node": node,
        "reward_own": reward,
        "reward_mixed": reward + (0.1 if external else 0.0),
        "tokens_generated": tokens,
        "external_share": external or 0.0,
        "metrics": {
            "external_nats_per_byte": external,
            "tokens_own": tokens // 2,
            "tokens_external": 30 if external else 0,
        },
        "seconds": SECONDS,
    }


def held_out(rounds: int, node: int, success: float) -> dict[str, Any]:
    result = {"success": success, "questions": 4}
    return {"kind": "held_out", "round": rounds, "node": node, **result, "tasks": {"gcd": result}}
