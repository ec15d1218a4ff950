"""J over the rounds of a configuration in which it adapts. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swarmd.experiment.reporting.results import RunResults

TENTHS = 10  # of the rounds; a run of fewer rounds has as many parts as rounds


@dataclass(frozen=True)
class Wanted:
    """J in the rounds `first` to `last`, counted from 1, over all nodes and seeds."""

    first: int
    last: int
    mean: float
    least: float
    most: float


def by_tenth(runs: Sequence[RunResults]) -> list[Wanted]:
    """`runs` are seeds of one configuration. Empty if their lines do not tell J."""
    wanted = np.stack([run.external_wanted for run in runs])  # [seeds, rounds, nodes]
    if np.isnan(wanted).any():
        return []
    rounds = wanted.shape[1]
    found = []
    for part in np.array_split(np.arange(rounds), min(TENTHS, rounds)):
        here = wanted[:, part]
        ends = int(part[0]) + 1, int(part[-1]) + 1
        found.append(Wanted(*ends, float(here.mean()), float(here.min()), float(here.max())))
    return found
