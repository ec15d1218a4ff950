"""From a results folder to numbers: finished runs as arrays [rounds, nodes]. Computes no statistics."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from swarmd.errors import ConfigError, StorageError
from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.journal import ROUNDS_FILE, Line, read_lines
from swarmd.experiment.metering import RECORDED, ROUNDS_WITH
from swarmd.experiment.reporting.pricing import Machine, Prices, charged, find_prices, on_machine, pooled
from swarmd.experiment.results_folder import EXPERIMENT_FILE, RUNS
from swarmd.experiment.schedule import RunSpec, best_rates
from swarmd.experiment.seeding import SWEEP

Array = NDArray[np.float64]

ASKED = ("swarm_id", "nodes", "node_tasks", "held_out_questions")
"""Settings that determine, together with the seed, which questions a run's nodes are trained and evaluated
on.
"""


@dataclass(frozen=True)
class HeldOut:
    """Success on held-out questions after each of `rounds`."""

    rounds: tuple[int, ...]
    success: Array
    """[evaluations, nodes]"""
    tasks: Mapping[str, Array]
    """[evaluations, nodes] each"""


@dataclass(frozen=True)
class RunResults:
    """One finished run. Arrays are [rounds, learners]: attackers have no column. NaN where there was nothing
    to measure.
    """

    label: str
    rate: float
    seed: int
    sweep: bool
    learners: tuple[int, ...]
    """The index of each column's node."""
    reward_own: Array
    reward_mixed: Array
    tokens: Array
    """Tokens generated."""
    completions: Array
    """Completions generated."""
    entropy: Array
    """Nats per token, of own completions under the policy that wrote them."""
    finished: Array
    """Share of the completions that ended by themselves."""
    payload: Array
    """Share of the completions that carry the payload of an attack."""
    phases: Mapping[str, Array]
    """Wall-clock seconds by phase."""
    cpu: Mapping[str, Array]
    """CPU seconds by phase, as measured; empty for runs that did not measure them."""
    counts: Mapping[str, Array]
    """The work done in them, by unit; empty in the same case."""
    trained_own: Array
    """Tokens in the own groups trained on."""
    trained_external: Array
    """Tokens in the external groups trained on."""
    external_share: Array
    surprisal: Array
    """Nats per byte of external text under the node's policy."""
    asked_by_task: Mapping[str, Array]
    """Own groups by task."""
    earned_by_task: Mapping[str, Array]
    """The sum of their mean rewards."""
    held_out: HeldOut
    asked: Mapping[str, Any]
    """The settings named in ASKED."""
    versions: Mapping[str, str]
    """Of the packages, and the machine, as in the run's first line."""
    models: tuple[str, ...]
    """SHA-256 of the files of each model that nodes started from, in hex."""
    reasons: tuple[str, ...]
    """Why the models ran as they did on that machine: a sentence each."""
    prices: Mapping[str, Prices] = field(default_factory=dict)
    """CPU seconds per unit, by model; empty if they were not measured."""

    def model_of(self, column: int) -> str:
        """Return the model of this column's node: one of `models`, which has one for all nodes or one per
        node.
        """
        if not self.models:
            return ""
        return self.models[self.learners[column]] if len(self.models) > 1 else self.models[0]

    @property
    def length(self) -> Array:
        """Tokens per own completion."""
        found: Array = np.full_like(self.tokens, np.nan)
        return np.divide(self.tokens, self.completions, out=found, where=self.completions > 0)

    def charged(self, machine: Machine | None = None) -> Array:
        """Return the CPU seconds that each round costs at the prices of this experiment, or of `machine` if
        given: [rounds, learners]. Only for a run with `counts`.
        """
        columns = []
        for column in range(len(self.learners)):
            prices = self.prices[self.model_of(column)]
            counts = {unit: found[:, column] for unit, found in self.counts.items()}
            columns.append(charged(counts, prices if machine is None else on_machine(prices, machine)))
        return np.stack(columns, axis=1)

    @property
    def seconds(self) -> Array:
        """Wall-clock seconds of all phases together."""
        together: Array = np.sum(list(self.phases.values()), axis=0)
        return together


@dataclass(frozen=True)
class Results:
    """The contents of a results folder."""

    config: ExperimentConfig
    runs: tuple[RunResults, ...]
    unfinished: int
    superseded: int = 0
    """Number of runs left out because the experiment no longer has their configuration or learning rate."""

    def of(self, label: str, *, sweep: bool = False) -> list[RunResults]:
        """Return the finished runs of a configuration, by seed: the final ones, or those of its sweep."""
        found = [run for run in self.runs if run.label == label and run.sweep == sweep]
        return sorted(found, key=lambda run: (run.rate, run.seed))


def read_results(folder: Path) -> Results:
    """Read everything in `folder`. Raises ConfigError if it contains no results, StorageError for damaged
    ones.
    """
    try:
        text = (folder / EXPERIMENT_FILE).read_text(encoding="utf-8")
        config = ExperimentConfig.model_validate(json.loads(text))
    except (OSError, ValueError, RecursionError) as error:  # ValueError: not text, not JSON, not settings
        raise ConfigError(
            f"{folder} has no results of `swarmd experiment run` ({EXPERIMENT_FILE} is missing or damaged): "
            "name the folder that --out named"
        ) from error
    paths = sorted((folder / RUNS).glob(f"*/{ROUNDS_FILE}"))
    found = [_finished(path) for path in paths]
    runs = tuple(run for run in found if run is not None)
    if not runs:
        raise ConfigError(f"{folder}: no run is finished yet: continue with `swarmd experiment run`")
    current = _current(config, runs)
    if not current:
        raise ConfigError(
            f"{folder}: no finished run has a configuration and a learning rate of {EXPERIMENT_FILE}: "
            "continue with `swarmd experiment run`"
        )
    return Results(config, priced(current), len(paths) - len(runs), len(runs) - len(current))


def priced(runs: Sequence[RunResults]) -> tuple[RunResults, ...]:
    """Return `runs` with the prices computed from all of them together, model by model. Runs without CPU
    seconds are unchanged.
    """
    measured = [run for run in runs if run.counts]
    parts: defaultdict[str, list[tuple[dict[str, Array], dict[str, Array]]]] = defaultdict(list)
    for run in measured:
        for column in range(len(run.learners)):
            counts, cpu = ({k: v[:, column] for k, v in all_.items()} for all_ in (run.counts, run.cpu))
            parts[run.model_of(column)].append((counts, cpu))
    prices = {
        model: find_prices(pooled([counts for counts, _ in some]), pooled([cpu for _, cpu in some]))
        for model, some in parts.items()
    }
    return tuple(replace(run, prices=prices) if run.counts else run for run in runs)


def _current(config: ExperimentConfig, runs: tuple[RunResults, ...]) -> tuple[RunResults, ...]:
    """Return `runs` without final runs at a learning rate that the sweep would not choose now.

    More `sweep_seeds` or other `learning_rates` in an existing folder can change the choice. Runs of one seed
    at two rates must not count as two seeds.
    """
    arms = {arm.label: arm for arm in config.configurations}
    swept = [
        (RunSpec(arms[run.label], run.rate, run.seed - SWEEP, sweep=True), math.fsum(run.reward_own.flat))
        for run in runs
        if run.sweep and run.label in arms and run.seed - SWEEP < config.sweep_seeds
    ]
    tried = {(spec.arm.label, spec.rate) for spec, _ in swept}
    whole = [arm for arm in arms.values() if all((arm.label, rate) in tried for rate in config.rates_of(arm))]
    chosen = {arm.label: config.rates_of(arm)[0] for arm in arms.values() if len(config.rates_of(arm)) == 1}
    if whole:
        chosen |= best_rates(config.model_copy(update={"configurations": tuple(whole)}), swept)
    return tuple(run for run in runs if run.sweep or chosen.get(run.label) == run.rate)


def _finished(path: Path) -> RunResults | None:
    """Return the run in `path`; None if it is not finished. Raises StorageError."""
    lines = read_lines(path)
    try:
        return _run(lines) if lines and lines[-1]["kind"] == "end" else None
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        # Valid lines, but not those of a whole run.
        raise StorageError(f"{path} is damaged ({error}): remove it to run this part again") from error


def _run(lines: list[Line]) -> RunResults:
    settings = lines[0]["settings"]
    nodes = [line for line in lines if line["kind"] == "node"]
    attackers = settings.get("attack", {}).get("attackers", ())
    learners = tuple(node for node in range(settings["nodes"]) if node not in attackers)
    shape = settings["rounds"], len(learners)

    def grid(value: Callable[[Line], Any], *, is_known: bool = False) -> Array:
        """None becomes NaN, and is refused if the value is known in every round."""
        found = np.array([value(line) for line in nodes], dtype=np.float64).reshape(shape)
        if np.isinf(found).any() or (is_known and np.isnan(found).any()):
            raise ValueError("a value is no number")
        return found

    def grids_of(table: str) -> dict[str, Array]:
        """By the keys of the lines' `table`; empty if some rounds were played by a version that did not write
        it. A phase that was not timed took 0 seconds.
        """
        if not all(table in line for line in nodes):
            return {}
        names = dict.fromkeys(name for line in nodes for name in line[table])
        return {name: grid(partial(_of_table, table, name), is_known=True) for name in names}

    names = dict.fromkeys(name for line in nodes for name in line.get("own_by_task", {}))
    phases = grids_of("seconds")
    if not phases:
        raise KeyError("seconds")
    cpu, counts = grids_of("cpu_seconds"), dict[str, Array]()
    if cpu and _are_counted(nodes):
        counts = {unit: grid(partial(_of_table, "units", unit), is_known=True) for unit in RECORDED}
        counts |= {rounds: (counts[work] > 0).astype(np.float64) for rounds, work in ROUNDS_WITH.items()}
    return RunResults(
        label=str(settings["configuration"]["label"]),
        rate=float(settings["learning"]["learning_rate"]),
        seed=int(settings["seed"]),
        sweep=settings["sweep"],
        learners=learners,
        reward_own=grid(lambda line: line["reward_own"]),
        reward_mixed=grid(lambda line: line["reward_mixed"]),
        tokens=grid(lambda line: line["tokens_generated"], is_known=True),
        completions=grid(lambda line: line.get("completions_generated")),
        entropy=grid(lambda line: line["metrics"].get("entropy")),
        finished=grid(lambda line: line.get("finished_share")),
        payload=grid(lambda line: line.get("payload_share")),
        phases=phases,
        cpu=cpu,
        counts=counts,
        trained_own=grid(lambda line: line["metrics"].get("tokens_own")),
        trained_external=grid(lambda line: line["metrics"].get("tokens_external")),
        external_share=grid(lambda line: line["external_share"]),
        surprisal=grid(lambda line: line["metrics"]["external_nats_per_byte"]),
        asked_by_task={name: grid(partial(_asked, name), is_known=True) for name in names},
        earned_by_task={name: grid(partial(_earned, name), is_known=True) for name in names},
        held_out=_held_out([line for line in lines if line["kind"] == "held_out"], len(learners)),
        asked={key: settings[key] for key in ASKED},
        versions={str(name): str(found) for name, found in lines[0].get("versions", {}).items()},
        models=tuple(map(str, settings.get("model_files_sha256", ()))),
        reasons=tuple(dict.fromkeys(str(why) for whys in lines[0].get("plan", {}).values() for why in whys)),
    )


def _are_counted(nodes: Sequence[Line]) -> bool:
    """Whether all work was counted. Older versions counted nothing, or not the tokens of lessons."""
    return all(
        "units" in line and ("tokens_trained_lessons" in line["units"] or not line["metrics"].get("lessons"))
        for line in nodes
    )


def _of_table(table: str, name: str, line: Line) -> Any:
    return line[table].get(name, 0.0)


def _asked(task: str, line: Line) -> int:
    return int(line.get("own_by_task", {}).get(task, {"groups": 0})["groups"])


def _earned(task: str, line: Line) -> float:
    groups = _asked(task, line)
    return groups * line["own_by_task"][task]["reward"] if groups else 0.0


def _held_out(lines: list[Line], nodes: int) -> HeldOut:
    tasks: defaultdict[str, list[float]] = defaultdict(list)
    for line in lines:
        for name, result in line["tasks"].items():
            tasks[name].append(result["success"])
    return HeldOut(
        rounds=tuple(np.array([line["round"] for line in lines[::nodes]], dtype=np.int64).tolist()),
        success=np.array([line["success"] for line in lines], dtype=np.float64).reshape(-1, nodes),
        tasks={name: np.array(values, dtype=np.float64).reshape(-1, nodes) for name, values in tasks.items()},
    )
