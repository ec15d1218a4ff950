"""Runs and configurations compared at equal cost, seed by seed; and the strongest solo control. Pure.

Both runs of a pair are cut at what the cheaper one spent per node. Costs are means over nodes, without
evaluations: rounds, generated tokens, wall-clock seconds, CPU seconds computed from unit prices, or the same
at the prices of another model (`pricing`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from swarmd.experiment.reporting.pricing import MACHINE_NAMES
from swarmd.experiment.reporting.results import Array, Results, RunResults
from swarmd.experiment.reporting.statistics import Estimate, estimate, gain

Basis = Literal["rounds", "tokens", "time", "cpu", "smollm2-135m", "qwen2.5-0.5b"]
BASES: tuple[Basis, ...] = get_args(Basis)
COUNTED: tuple[Basis, ...] = ("cpu", *MACHINE_NAMES)
"""Bases that need runs that counted their units."""

SAME = 1e-3  # totals that differ by less than a thousandth count as equal: neither run ended first


# Two runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """What a run achieved until its budget was spent. Arrays are [nodes]."""

    rounds: float
    """Rounds that the budget paid for, the last one perhaps in part."""
    own: Array
    """Mean own reward of these rounds, equally weighted. Not their sum, because equal cost does not mean
    equally many rounds.
    """
    mixed: float
    """The same for what was trained on, over all nodes. Training on nothing counts as earning nothing."""
    held_out: Array
    """Held-out success, interpolated linearly between two evaluations."""
    tasks: Mapping[str, Array]
    """The same by task."""


def cost(run: RunResults, basis: Basis) -> Array:
    """Return the cost of each round: [rounds]. A basis of `COUNTED` needs a run with counts (`bases_of`)."""
    match basis:
        case "rounds":
            return np.ones(len(run.reward_own))
        case "tokens":
            costs = run.tokens
        case "time":
            costs = run.seconds
        case "cpu":
            costs = run.charged()
        case machine:
            costs = run.charged(machine)
    by_round: Array = costs.mean(axis=1)  # attackers have no column, so numbers of nodes may differ
    return by_round


def bases_of(runs: Sequence[RunResults]) -> tuple[Basis, ...]:
    """Return the bases by which these runs can be compared."""
    counted = all(run.counts for run in runs)
    return tuple(basis for basis in BASES if counted or basis not in COUNTED)


def cut_pair(one: RunResults, other: RunResults, basis: Basis) -> tuple[Cut, Cut]:
    """Return both runs, cut at what the cheaper one spent per node."""
    budget = min(float(cost(run, basis).sum()) for run in (one, other))
    return cut(one, basis, budget), cut(other, basis, budget)


def cut(run: RunResults, basis: Basis, budget: float) -> Cut:
    """Return `run` up to `budget`, which must be more than 0."""
    paid = rounds_paid(cost(run, basis), budget)
    rounds = float(paid.sum())

    def by_then(success: Array) -> Array:
        return np.array([np.interp(rounds, run.held_out.rounds, node) for node in success.T])

    return Cut(
        rounds=rounds,
        own=(paid @ run.reward_own) / rounds,
        mixed=float((paid @ np.nan_to_num(run.reward_mixed)).mean() / rounds),
        held_out=by_then(run.held_out.success),
        tasks={name: by_then(success) for name, success in run.held_out.tasks.items()},
    )


def rounds_paid(costs: Array, budget: float) -> Array:
    """Return the part of each round, 0..1, that `budget` pays for. Both are [rounds].

    A mean over rounds uses these as weights, not the costs. Where groups that teach nothing are replaced, a
    round of bad luck costs more, and weights by cost would make replacing look worse than it is.
    """
    left = budget - (np.cumsum(costs) - costs)
    return np.clip(np.divide(left, costs, out=np.sign(left), where=costs > 0), 0.0, 1.0)


# Two configurations -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Against:
    """`arm` against `control`; each pair of runs up to what the cheaper of the two spent in all."""

    arm: str
    control: str
    basis: Basis
    seeds: tuple[int, ...]
    """Seeds that both have."""
    rounds: Estimate
    """Rounds of the arm that were compared."""
    control_rounds: Estimate
    ended_first: str | None
    """Which of the two had spent all its rounds first; to compare further, give it more `rounds`. `either` if
    it differs by seed, None if both end together.
    """
    own: Estimate
    """Mean own reward of the rounds compared."""
    control_own: Estimate
    own_gain: Estimate
    mixed_gain: Estimate
    held_out: Estimate
    control_held_out: Estimate
    held_out_difference: Estimate


def against(runs: Sequence[RunResults], control: Sequence[RunResults], basis: Basis) -> Against | None:
    """Compare `runs` of one configuration with those of another; None without a common seed."""
    of = {run.seed: run for run in control}
    pairs = [(run, of[run.seed]) for run in runs if run.seed in of]
    if not pairs:
        return None
    ours, theirs = zip(*(cut_pair(run, other, basis) for run, other in pairs), strict=True)
    own, control_own = ([float(cut.own.mean()) for cut in cuts] for cuts in (ours, theirs))
    held, control_held = ([float(cut.held_out.mean()) for cut in cuts] for cuts in (ours, theirs))
    return Against(
        arm=runs[0].label,
        control=control[0].label,
        basis=basis,
        seeds=tuple(run.seed for run, _ in pairs),
        rounds=estimate([cut.rounds for cut in ours]),
        control_rounds=estimate([cut.rounds for cut in theirs]),
        ended_first=_ended_first(pairs, basis),
        own=estimate(own),
        control_own=estimate(control_own),
        own_gain=gain(own, control_own),
        mixed_gain=gain([cut.mixed for cut in ours], [cut.mixed for cut in theirs]),
        held_out=estimate(held),
        control_held_out=estimate(control_held),
        held_out_difference=estimate([a - b for a, b in zip(held, control_held, strict=True)]),
    )


def against_solo(results: Results, label: str, basis: Basis) -> list[Against]:
    """Compare the configuration `label` with every one that shares nothing, the strongest of those first.

    The strongest is the one against which the gain in mean own reward over seeds is smallest. It is chosen on
    the seeds that it is reported on, which favours the control a little.
    """
    alone = [arm.label for arm in results.config.configurations if not arm.external]
    runs = results.of(label)
    found = (
        [against(runs, control, basis) for other in alone if (control := results.of(other))] if runs else []
    )
    return sorted((one for one in found if one is not None), key=_gain)


def _gain(one: Against) -> float:
    """A control that earned nothing counts as the weakest."""
    return one.own_gain.mean if math.isfinite(one.own_gain.mean) else math.inf


def _ended_first(pairs: Sequence[tuple[RunResults, RunResults]], basis: Basis) -> str | None:
    ended = {_shorter(run, other, basis) for run, other in pairs}
    return ended.pop() if len(ended) == 1 else "either"


def _shorter(run: RunResults, other: RunResults, basis: Basis) -> str | None:
    ours, theirs = float(cost(run, basis).sum()), float(cost(other, basis).sum())
    if math.isclose(ours, theirs, rel_tol=SAME):
        return None
    return run.label if ours < theirs else other.label
