"""How far a run had come when it had spent a budget; two runs at equal cost, both where the cheaper one ends.

Pure. Costs are of all nodes together: rounds, generated tokens, or seconds without evaluations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from swarmd.experiment.reporting.results import Array, RunResults

Basis = Literal["rounds", "tokens", "time"]
BASES: tuple[Basis, ...] = get_args(Basis)


@dataclass(frozen=True)
class Cut:
    """What came of a run until its budget was spent. Arrays are [nodes]."""

    rounds: float
    """That the budget paid for, the last perhaps in part."""
    own: Array
    """Mean own reward of these rounds, each counting the same; not their sum, as equal cost is not equally
    many rounds."""
    mixed: float
    """The same of what was trained on, over all nodes; nothing trained on counts as nothing earned."""
    held_out: Array
    """Held-out success, between two evaluations on the line between them."""
    tasks: Mapping[str, Array]
    """The same by task."""


def cost(run: RunResults, basis: Basis) -> Array:
    """What each round cost. [rounds]"""
    if basis == "rounds":
        return np.ones(len(run.reward_own))
    costs: Array = (run.tokens if basis == "tokens" else run.seconds).sum(axis=1)
    return costs


def cut_pair(one: RunResults, other: RunResults, basis: Basis) -> tuple[Cut, Cut]:
    """Both runs up to what the cheaper one spent in all."""
    budget = min(float(cost(run, basis).sum()) for run in (one, other))
    return cut(one, basis, budget), cut(other, basis, budget)


def cut(run: RunResults, basis: Basis, budget: float) -> Cut:
    """`run` up to `budget`, which is more than 0."""
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
    """Which part of each round, 0..1, `budget` pays for. Both [rounds].

    A mean over rounds takes these as weights, and not the costs: where groups that teach nothing are
    replaced, a round of bad luck costs more, and weights by cost would make replacing look worse than it is.
    """
    left = budget - (np.cumsum(costs) - costs)
    return np.clip(np.divide(left, costs, out=np.sign(left), where=costs > 0), 0.0, 1.0)
