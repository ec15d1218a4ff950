"""The tables of a report as plain values, as report.json holds them. Writes no files and no text."""

from __future__ import annotations

from typing import Any

from swarmd.experiment.reporting.attacks import Attacked, attacked
from swarmd.experiment.reporting.equal_cost import Against, Basis, against, against_solo, bases_of
from swarmd.experiment.reporting.markdown import plain
from swarmd.experiment.reporting.measures import (
    CURVES,
    MEASURES,
    QUANTITIES,
    cpu_by_phase,
    handed_on,
    seconds_by_phase,
    split,
    tokens_by_use,
    writing,
)
from swarmd.experiment.reporting.results import Results, RunResults
from swarmd.experiment.reporting.statistics import estimate

Table = dict[str, Any]

PROMISED: tuple[Basis, ...] = ("tokens", "time", "cpu")
"""The costs at which sharing is compared with the strongest solo control: what an operator pays."""


def make_tables(results: Results) -> Table:
    """Return everything that report.md says, as JSON values: NaN is None."""
    config = results.config
    labels = [arm.label for arm in config.configurations if results.of(arm.label)]
    sharing = [arm.label for arm in config.configurations if arm.external]
    return {
        "experiment": config.name,
        "nodes": config.nodes,
        "unfinished_runs": results.unfinished,
        "superseded_runs": results.superseded,
        "baseline": config.baseline_label,
        "measures": {key: {"title": m.title, "meaning": m.meaning} for key, m in MEASURES.items()},
        "configurations": [_configuration(results, label) for label in labels],
        "against_solo": [
            {**_pair_values(one), "strongest": index == 0}
            for label in sharing
            for basis in PROMISED
            if basis in bases_of(results.runs)
            for index, one in enumerate(against_solo(results, label, basis))
        ],
        "attacks": [_attack(one) for one in attacked(results)],
        "prices": _prices(results),
        "sweep": _sweep(results),
    }


def _configuration(results: Results, label: str) -> Table:
    runs = results.of(label)
    return {
        "label": label,
        "learning_rate": runs[0].rate,
        "rounds": len(runs[0].reward_own),
        "seeds": [run.seed for run in runs],
        "measures": {
            key: plain(estimate([measure.of(run) for run in runs])) for key, measure in MEASURES.items()
        },
        "against_baseline": _against_baseline(results, label),
        "spending": _spending(runs),
        "writing": _writing(runs),
        "stability": _stability(runs),
        "tasks": {
            name: plain(estimate([float(run.held_out.tasks[name][-1].mean()) for run in runs]))
            for name in runs[0].held_out.tasks
        },
        "specialists": _specialists(results, label) if results.config.specialities else None,
        "handed_on": _handed_on(results, label),
    }


def _against_baseline(results: Results, label: str) -> Table:
    """By basis; empty for the baseline itself and without a common seed."""
    baseline = results.config.baseline_label
    if baseline is None or baseline == label:
        return {}
    ours, theirs = results.of(label), results.of(baseline)
    found = {basis: against(ours, theirs, basis) for basis in bases_of([*ours, *theirs])}
    return {basis: _pair_values(one) for basis, one in found.items() if one is not None}


def _pair_values(one: Against) -> Table:
    """A comparison as JSON holds it."""
    estimates = (
        "rounds", "control_rounds", "own", "control_own", "own_gain", "mixed_gain", "held_out",
        "control_held_out", "held_out_difference",
    )  # fmt: skip
    return {
        "label": one.arm,
        "control": one.control,
        "basis": one.basis,
        "seeds": list(one.seeds),
        "ended_first": one.ended_first,
        **{name: plain(getattr(one, name)) for name in estimates},
    }


def _prices(results: Results) -> Table:
    """CPU seconds per unit, by model."""
    found = next((run.prices for run in results.runs if run.prices), {})
    return {model: dict(prices) for model, prices in found.items()}


def _spending(runs: list[RunResults]) -> Table:
    """Per node, over the run; CPU seconds per round."""
    found = {
        "seconds": [seconds_by_phase(run) for run in runs],
        "tokens": [tokens_by_use(run) for run in runs],
    }
    if all(run.counts for run in runs):
        found["cpu"] = [cpu_by_phase(run) for run in runs]
    return {
        what: {name: plain(estimate([each[name] for each in spent])) for name in spent[0]}
        for what, spent in found.items()
    }


def _writing(runs: list[RunResults]) -> Table:
    found = [writing(run) for run in runs]
    return {
        what: {when: plain(estimate([each[what][when] for each in found])) for when in found[0][what]}
        for what in found[0]
    }


def _stability(runs: list[RunResults]) -> Table:
    return {
        name: {
            quantity: plain(estimate([of(curve(run)) for run in runs])) for quantity, of in QUANTITIES.items()
        }
        for name, curve in CURVES.items()
    }


def _specialists(results: Results, label: str) -> Table:
    """Held-out success on a node's own tasks and on others' tasks: before, after, and after minus the
    baseline's.
    """
    lists = results.config.specialities
    after = {run.seed: split(run, lists) for run in results.of(label)}
    of = {run.seed: split(run, lists) for run in results.of(results.config.baseline_label or "")}
    common = [seed for seed in after if seed in of] if label != results.config.baseline_label else []
    return {
        which: {
            "before": plain(estimate([getattr(each, which)[0] for each in after.values()])),
            "after": plain(estimate([getattr(each, which)[-1] for each in after.values()])),
            "difference": plain(
                estimate([getattr(after[seed], which)[-1] - getattr(of[seed], which)[-1] for seed in common])
            )
            if common
            else None,
        }
        for which in ("own", "others")
    }


def _handed_on(results: Results, label: str) -> Table:
    """By task: the specialists' level, and others' success at the end. Empty without specialists."""
    if not results.config.specialities:
        return {}
    runs = [handed_on(run, results.config.specialities) for run in results.of(label)]
    return {
        task: {
            what: plain(estimate([getattr(run[task], what) for run in runs]))
            for what in ("level", "others", "least", "asked_level", "asked_others")
        }
        for task in runs[0]
    }


def _attack(one: Attacked) -> Table:
    found = {name: getattr(one, name) for name in ("label", "kind", "attackers", "control")}
    for name in ("payload_end", "payload_peak", "length_end"):
        found[name] = plain(getattr(one, name))
    for name in ("length_ratio", "own_gain", "held_out_difference"):
        value = getattr(one, name)
        found[name] = None if value is None else plain(value)
    return found


def _sweep(results: Results) -> list[Table]:
    """Mean cumulative own reward of every learning rate tried."""
    found = []
    for arm in results.config.configurations:
        runs = results.of(arm.label, sweep=True)
        for rate in dict.fromkeys(run.rate for run in runs):
            own = estimate([float(run.reward_own.sum()) for run in runs if run.rate == rate])
            found.append({"label": arm.label, "learning_rate": rate, "own": plain(own)})
    return found
