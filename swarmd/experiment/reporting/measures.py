"""Measures of a single run: rewards, spending, stability and specialists. Pure.

Comparisons of two runs are in `equal_cost`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmd.experiment.reporting.pricing import by_phase
from swarmd.experiment.reporting.results import Array, RunResults
from swarmd.experiment.reporting.statistics import smoothed, window_of

# One number each ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """One column of the tables."""

    title: str
    meaning: str
    of: Callable[[RunResults], float]


def _mean(values: Array) -> float:
    """Mean of the values that exist; NaN if there are none."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


MEASURES: Mapping[str, Measure] = {
    "mixed": Measure(
        "cumulative reward, paper's",
        "sum over rounds and nodes of the mean reward of what was trained on, including external groups",
        lambda run: float(np.nansum(run.reward_mixed)),
    ),
    "own": Measure(
        "cumulative own reward",
        "the same over what the nodes generated themselves; if groups were replaced, over the first I",
        lambda run: float(run.reward_own.sum()),
    ),
    "held_out": Measure(
        "held-out, end",
        "greedy success on questions that no node trains on, mean over nodes, after the last round",
        lambda run: float(run.held_out.success[-1].mean()),
    ),
    "external_share": Measure(
        "external share",
        "share of external groups among those with an advantage that were trained on",
        lambda run: _mean(run.external_share),
    ),
    "surprisal": Measure(
        "surprisal",
        "nats per byte of external text under the policy that trains on it",
        lambda run: _mean(run.surprisal),
    ),
    "tokens": Measure("tokens", "generated, over all rounds and nodes", lambda run: float(run.tokens.sum())),
    "seconds": Measure(
        "seconds", "of all rounds and nodes, without evaluations", lambda run: float(run.seconds.sum())
    ),
}


# Spending -----------------------------------------------------------------------------------------
#
# Per node over all rounds, mean over nodes. Equal time and equal tokens differ because external groups are
# verified and trained on, but not generated.


def seconds_by_phase(run: RunResults) -> dict[str, float]:
    """Seconds by phase, as the run's lines name them; daemons only report the whole `step`."""
    return {phase: _of_a_node(seconds) for phase, seconds in run.phases.items()}


def cpu_by_phase(run: RunResults) -> dict[str, float]:
    """CPU seconds of a node's round by phase, computed from its units at the experiment's prices. Only for a
    run with `counts`.
    """
    nodes = [
        by_phase(
            {unit: found[:, column] for unit, found in run.counts.items()}, run.prices[run.model_of(column)]
        )
        for column in range(len(run.learners))
    ]
    return {phase: float(np.mean([node[phase] for node in nodes])) for phase in nodes[0]}


def tokens_by_use(run: RunResults) -> dict[str, float]:
    """Tokens generated, and tokens in the groups trained on, own and external. NaN if the lines do not
    say.
    """
    return {
        "generated": _of_a_node(run.tokens),
        "trained_own": _of_a_node(run.trained_own),
        "trained_external": _of_a_node(run.trained_external),
    }


def _of_a_node(spent: Array) -> float:
    return float(spent.sum(axis=0).mean())


# What nodes write ---------------------------------------------------------------------------------

END_SHARE = 0.1
"""Share of the rounds, the last ones, over which "at the end" is a mean."""


def last_rounds(values: Array) -> Array:
    """Return the rounds that are "at the end"; the first axis is the rounds."""
    rounds = max(1, round(END_SHARE * len(values)))
    last: Array = np.asarray(values[-rounds:])
    return last


FIRST_ROUNDS = 5
"""Rounds in which nodes are about as they started: the default warm-up of the learning rate."""


def first_rounds(values: Array) -> Array:
    """Return the rounds in which nodes are about as they started."""
    return values[:FIRST_ROUNDS]


def length(tokens: Array, completions: Array) -> float:
    """Tokens per completion; NaN for runs of a version that did not count completions."""
    written = completions.sum()
    return float(tokens.sum() / written) if written > 0 else float("nan")


def writing(run: RunResults) -> dict[str, dict[str, float]]:
    """Length of own completions in tokens, the share that ended by themselves, and their entropy in nats per
    token: in the first round, in which no node has learned yet, and at the end.
    """
    first, end = run.tokens[:1], last_rounds(run.tokens)
    return {
        "finished": {"first": _mean(run.finished[:1]), "end": _mean(last_rounds(run.finished))},
        "length": {
            "first": length(first, run.completions[:1]),
            "end": length(end, last_rounds(run.completions)),
        },
        "entropy": {"first": _mean(run.entropy[:1]), "end": _mean(last_rounds(run.entropy))},
    }


# Stability: whether a run keeps what it gained ----------------------------------------------------
#
#     peak    the highest point of the curve
#     drop    from the peak to the end: what was lost; forgetting, if the curve is held-out success
#     falls   all falls of the curve together: 0 if it only rises, large if it oscillates
#
# All three are in units of the reward or success. A noisy curve has falls, and a peak that is too high,
# without losing anything. Own reward can therefore be compared only between configurations with equally
# many rounds and own groups; held-out success uses the same questions everywhere.

CURVES: Mapping[str, Callable[[RunResults], Array]] = {
    "own": lambda run: smoothed(run.reward_own.mean(axis=1), window_of(len(run.reward_own))),
    "held_out": lambda run: run.held_out.success.mean(axis=1),
}
"""The curves whose stability is reported; each gives one value per round or evaluation."""

QUANTITIES: Mapping[str, Callable[[Array], float]] = {
    "peak": lambda curve: float(curve.max()),
    "drop": lambda curve: float(curve.max() - curve[-1]),
    "falls": lambda curve: float(-np.minimum(np.diff(curve), 0.0).sum()),
}
"""What is reported about each curve."""


# Specialists: nodes that start out good at some tasks ---------------------------------------------


@dataclass(frozen=True)
class Split:
    """Mean over nodes of held-out success on their own tasks and on all others: [evaluations] each."""

    own: Array
    others: Array


def split(run: RunResults, specialities: Sequence[Sequence[str]]) -> Split:
    """`specialities` has one list of task names per node, attackers included, whose lists are not used.

    Each node has at least one task and lacks at least one.

    Every task counts the same, however many questions it has, and so does every node. NaN if no question was
    asked about a node's tasks: not every task has held-out questions.
    """
    asked, nothing = run.held_out.tasks.items(), [np.full(len(run.held_out.rounds), np.nan)]
    own, others = [], []
    for column, node in enumerate(run.learners):
        tasks = specialities[node]
        own.append([success[:, column] for name, success in asked if name in tasks] or nothing)
        others.append([success[:, column] for name, success in asked if name not in tasks] or nothing)
    return Split(_over_nodes(own), _over_nodes(others))


@dataclass(frozen=True)
class HandedOn:
    """Success on one task: the specialists' at the start, and the other nodes' at the end.

    Held-out questions are distinct, so the more of them are asked, the more of them are hard: a dataset
    repeats its short questions most. Own questions come as the dataset draws them.
    """

    level: float
    """Mean over the specialists, before the first round."""
    others: float
    """Mean over all other nodes, after the last round."""
    least: float
    """Of the other node that does worst."""
    asked_level: float
    """Mean reward of the specialists' own completions in the first rounds."""
    asked_others: float
    """The same of all other nodes at the end."""


def handed_on(run: RunResults, specialities: Sequence[Sequence[str]]) -> dict[str, HandedOn]:
    """By task, for those with both specialists and others among the nodes that learn."""
    found = {}
    for name, success in run.held_out.tasks.items():
        knows = np.array([name in specialities[node] for node in run.learners])
        if knows.any() and not knows.all():
            after = success[-1, ~knows]
            found[name] = HandedOn(
                level=float(success[0, knows].mean()),
                others=float(after.mean()),
                least=float(after.min()),
                asked_level=_earned(run, name, first_rounds, knows),
                asked_others=_earned(run, name, last_rounds, ~knows),
            )
    return found


def _earned(run: RunResults, task: str, which: Callable[[Array], Array], nodes: NDArray[np.bool_]) -> float:
    """Mean reward of own groups of `task` in the rounds that `which` selects; NaN if there are none."""
    if task not in run.asked_by_task:
        return float("nan")
    asked, earned = (
        float(which(by_task[task])[:, nodes].sum()) for by_task in (run.asked_by_task, run.earned_by_task)
    )
    return earned / asked if asked else float("nan")


def _over_nodes(nodes: Sequence[Sequence[Array]]) -> Array:
    means: Array = np.mean([np.mean(tasks, axis=0) for tasks in nodes], axis=0)
    return means
