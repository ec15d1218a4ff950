"""Means and gains over seeds with 95 % bootstrap intervals (percentile, Efron 1979). Pure and repeatable.

With few seeds such an interval is too narrow: a resample of three holds only what the three held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmd.experiment.reporting.results import Array

RESAMPLES = 10_000  # the ends of the interval then move by about a hundredth of its width
RESAMPLING_SEED = 0  # a report of the same results is the same report
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds, or other pairs; without an interval where one or nothing is there."""

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]
    """One a seed."""


def estimate(values: Sequence[float] | Array) -> Estimate:
    """The mean of one value a seed."""
    data = np.asarray(values, dtype=np.float64)
    return _with_interval(data, lambda picks: data[picks].mean(axis=1), float(data.mean()))


def gain(values: Sequence[float] | Array, baseline: Sequence[float] | Array) -> Estimate:
    """How much larger the mean of `values` is than that of `baseline`, as a share of it: 0.5 is +50 %.

    Paired: position by position both are of the same seed, and are resampled together.
    """
    ours, theirs = (np.asarray(v, dtype=np.float64) for v in (values, baseline))
    with np.errstate(divide="ignore", invalid="ignore"):  # a baseline of 0 has no gain: NaN
        return _with_interval(
            _ratio(ours, theirs),
            lambda picks: _ratio(ours[picks].mean(axis=1), theirs[picks].mean(axis=1)),
            float(_ratio(ours.mean(), theirs.mean())),
        )


def _ratio(ours: Array, theirs: Array) -> Array:
    return np.where(theirs == 0, np.nan, ours / theirs - 1.0)


def _with_interval(values: Array, statistic: Callable[[NDArray[np.intp]], Array], mean: float) -> Estimate:
    """`statistic` takes indices [resamples, seeds] and gives one number a resample."""
    low = high = None
    if len(values) > 1 and np.isfinite(mean):
        picks = np.random.default_rng(RESAMPLING_SEED).integers(0, len(values), (RESAMPLES, len(values)))
        resampled = statistic(picks)
        if np.isfinite(resampled).all():
            low, high = map(float, np.percentile(resampled, PERCENTILES))
    return Estimate(mean, low, high, tuple(map(float, values)))
