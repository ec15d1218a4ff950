"""The arithmetic of reports: means and gains with intervals, tests of paired differences, smoothed curves.

Pure and repeatable: the same results give the same numbers. Intervals are 95% bootstrap intervals
(percentile, Efron 1979) over seeds or other pairs. With few seeds they are too narrow: a resample of three
values contains only those three.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swarmd.experiment.reporting.results import Array

RESAMPLES = 10_000  # the ends of an interval then vary by about 1% of its width
RESAMPLING_SEED = 0  # the same results give the same report
PERCENTILES = (2.5, 97.5)
PAIRS_EXACT = 13  # 2**13 = 8,192 sign patterns, about as many as are drawn for more pairs
TOLERANCE = 1e-9  # absorbs rounding when the same numbers are summed in a different order
WINDOWS = 20  # a smoothed curve is a moving mean over a twentieth of the rounds


# Means and gains ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds or other pairs; without an interval if there are fewer than two values."""

    mean: float
    low: float | None
    high: float | None
    values: tuple[float, ...]
    """One per seed."""


def estimate(values: Sequence[float] | Array) -> Estimate:
    """Return the mean of one value per seed."""
    data = np.asarray(values, dtype=np.float64)
    return _with_interval(data, lambda picks: data[picks].mean(axis=1), float(data.mean()))


def gain(values: Sequence[float] | Array, baseline: Sequence[float] | Array) -> Estimate:
    """Return how much larger the mean of `values` is than that of `baseline`, as a share of the latter: 0.5
    is +50%.

    Paired: the same position in both is the same seed, and they are resampled together.
    """
    ours, theirs = (np.asarray(v, dtype=np.float64) for v in (values, baseline))
    with np.errstate(divide="ignore", invalid="ignore"):  # a gain over a baseline of 0 is NaN
        return _with_interval(
            _ratio(ours, theirs),
            lambda picks: _ratio(ours[picks].mean(axis=1), theirs[picks].mean(axis=1)),
            float(_ratio(ours.mean(), theirs.mean())),
        )


def _ratio(ours: Array, theirs: Array) -> Array:
    return np.where(theirs == 0, np.nan, ours / theirs - 1.0)


def _with_interval(values: Array, statistic: Callable[[NDArray[np.intp]], Array], mean: float) -> Estimate:
    """`statistic` takes indices [resamples, seeds] and returns one number per resample."""
    low = high = None
    if len(values) > 1 and np.isfinite(mean):
        picks = np.random.default_rng(RESAMPLING_SEED).integers(0, len(values), (RESAMPLES, len(values)))
        resampled = statistic(picks)
        if np.isfinite(resampled).all():
            low, high = map(float, np.percentile(resampled, PERCENTILES))
    return Estimate(mean, low, high, tuple(map(float, values)))


# Tests of paired differences ----------------------------------------------------------------------


def sign_flip_p(differences: Array) -> float:
    """Return the two-sided p of a mean this far from 0, if each difference could equally well have the other
    sign.

    Fisher's randomisation test (1935) over `differences` [pairs], at least one. Up to PAIRS_EXACT pairs, it
    tries all sign patterns, so p is never less than 2 / 2**pairs: five pairs cannot give less than 0.0625.
    Beyond that, it draws RESAMPLES random patterns, including the observed one (Phipson and Smyth 2010).
    """
    pairs = len(differences)
    if pairs <= PAIRS_EXACT:
        flips = (np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1
    else:
        flips = np.random.default_rng(RESAMPLING_SEED).integers(0, 2, (RESAMPLES, pairs))
        flips[0] = 0
    means = np.abs((1 - 2 * flips) @ differences) / pairs
    seen = abs(float(differences.mean()))
    return float((means >= seen - TOLERANCE).mean())


def holm(p: Sequence[float]) -> list[float]:
    """Return the `p` of a family of tests, corrected for their number (Holm 1979, step-down).

    If everything below 0.05 is then called significant, the probability of any error is at most 5%.
    """
    corrected = [0.0] * len(p)
    least = 0.0
    for tested, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - tested) * p[index]))
        corrected[index] = least
    return corrected


# Curves -------------------------------------------------------------------------------------------


def window_of(rounds: int) -> int:
    """Return the number of rounds over which a curve of `rounds` rounds is smoothed."""
    return max(1, rounds // WINDOWS)


def smoothed(values: Array, window: int) -> Array:
    """Return the moving mean over the first axis, of `window` values and fewer at the beginning; NaN is left
    out.
    """
    there = ~np.isnan(values)
    totals = np.cumsum(np.where(there, values, 0.0), axis=0)
    counts = np.cumsum(there, axis=0).astype(np.float64)
    for sums in (totals, counts):
        sums[window:] -= sums[:-window].copy()
    with np.errstate(invalid="ignore"):  # an empty window is 0 / 0, which is NaN
        means: Array = totals / counts
    return means
