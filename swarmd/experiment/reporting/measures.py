"""What a run is judged by on its own, one number each. Pure: a run's arrays in, floats out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from swarmd.experiment.reporting.results import Array, RunResults


@dataclass(frozen=True)
class Measure:
    """One column of the tables."""

    title: str
    meaning: str
    of: Callable[[RunResults], float]


def _mean(values: Array) -> float:
    """Of what is there; NaN if nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else float("nan")


MEASURES: Mapping[str, Measure] = {
    "mixed": Measure(
        "cumulative reward, paper's",
        "sum over rounds and nodes of the mean reward of what was trained on, others' groups included",
        lambda run: float(np.nansum(run.reward_mixed)),
    ),
    "own": Measure(
        "cumulative own reward",
        "the same over what the nodes generated themselves; where groups were replaced, over the first I",
        lambda run: float(run.reward_own.sum()),
    ),
    "held_out": Measure(
        "held-out, end",
        "greedy success on questions nobody trains on, mean over nodes, after the last round",
        lambda run: float(run.held_out.success[-1].mean()),
    ),
    "external_share": Measure(
        "external share",
        "share of others' groups among those with an advantage that were trained on",
        lambda run: _mean(run.external_share),
    ),
    "surprisal": Measure(
        "surprisal",
        "nats a byte of others' text under the policy that trains on it",
        lambda run: _mean(run.surprisal),
    ),
    "tokens": Measure("tokens", "generated, over all rounds and nodes", lambda run: float(run.tokens.sum())),
    "seconds": Measure(
        "seconds", "of all rounds and nodes, without evaluations", lambda run: float(run.seconds.sum())
    ),
}
