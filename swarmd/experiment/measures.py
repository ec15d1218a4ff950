"""What a run is judged by, one number each. Pure: a run's arrays in, floats out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from swarmd.experiment.results import Array, RunResults


@dataclass(frozen=True)
class Common:
    """What all runs that are compared have spent at least: the budgets of comparisons at equal cost."""

    tokens: float
    """Generated, over all nodes."""
    seconds: float


@dataclass(frozen=True)
class Measure:
    """One column of the tables."""

    title: str
    meaning: str
    of: Callable[[RunResults, Common], float]


def common_budget(runs: Sequence[RunResults]) -> Common:
    """The least that any of `runs` has spent."""
    return Common(min(float(run.tokens.sum()) for run in runs), min(float(run.seconds.sum()) for run in runs))


def mean_within(rewards: Array, costs: Array, budget: float) -> float:
    """Mean reward of the rounds that `budget` pays for. Both [rounds]; a part of a round counts as that part.

    Each round counts the same, not by its cost: a round of bad luck costs more where groups that teach
    nothing are replaced, so weights by cost would make replacing look worse than it is.
    """
    left = budget - (np.cumsum(costs) - costs)
    paid = np.clip(left / costs, 0.0, 1.0)
    return float((rewards * paid).sum() / paid.sum())


def _own_at_equal_tokens(run: RunResults, common: Common) -> float:
    return mean_within(run.reward_own.mean(axis=1), run.tokens.sum(axis=1), common.tokens)


def _own_at_equal_time(run: RunResults, common: Common) -> float:
    return mean_within(run.reward_own.mean(axis=1), run.seconds.sum(axis=1), common.seconds)


def _held_out_at_equal_tokens(run: RunResults, common: Common) -> float:
    """Between two evaluations, on the line between them."""
    spent = np.concatenate([[0.0], np.cumsum(run.tokens.sum(axis=1))])
    at = spent[list(run.held_out.rounds)]
    return float(np.interp(common.tokens, at, run.held_out.success.mean(axis=1)))


def _mean(values: Array) -> float:
    """Of what is there; NaN if nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


MEASURES: Mapping[str, Measure] = {
    "mixed": Measure(
        "cumulative reward, paper's",
        "sum over rounds and nodes of the mean reward of what was trained on, others' groups included",
        lambda run, _: float(np.nansum(run.reward_mixed)),
    ),
    "own": Measure(
        "cumulative own reward",
        "the same over what the nodes generated themselves; where groups were replaced, over the first I",
        lambda run, _: float(run.reward_own.sum()),
    ),
    "held_out": Measure(
        "held-out, end",
        "greedy success on questions nobody trains on, mean over nodes, after the last round",
        lambda run, _: float(run.held_out.success[-1].mean()),
    ),
    "own_equal_tokens": Measure(
        "own reward, equal tokens",
        "mean own reward of the rounds in which as many tokens were generated as by the cheapest run in all",
        _own_at_equal_tokens,
    ),
    "own_equal_time": Measure(
        "own reward, equal time",
        "the same for time: generating, scoring, training, and verifying each record once for all nodes",
        _own_at_equal_time,
    ),
    "held_out_equal_tokens": Measure(
        "held-out, equal tokens",
        "held-out success when as many tokens were generated as the cheapest run generated in all",
        _held_out_at_equal_tokens,
    ),
    "external_share": Measure(
        "external share",
        "share of others' groups among those with an advantage that were trained on",
        lambda run, _: _mean(run.external_share),
    ),
    "surprisal": Measure(
        "surprisal",
        "nats a byte of others' text under the policy that trains on it",
        lambda run, _: _mean(run.surprisal),
    ),
    "tokens": Measure(
        "tokens", "generated, over all rounds and nodes", lambda run, _: float(run.tokens.sum())
    ),
    "seconds": Measure(
        "seconds", "of all rounds and nodes, without evaluations", lambda run, _: float(run.seconds.sum())
    ),
}

GAINS = ("mixed", "own", "held_out", "own_equal_tokens", "own_equal_time", "held_out_equal_tokens")
"""Measures that are also given as gain against the baseline."""
