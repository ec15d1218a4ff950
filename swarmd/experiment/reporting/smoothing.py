"""Curves over rounds without most of their noise."""

from __future__ import annotations

import numpy as np

from swarmd.experiment.reporting.results import Array

WINDOWS = 20  # a smoothed curve is a moving mean over a twentieth of the rounds


def smoothed(values: Array) -> Array:
    """Moving mean over the first axis, shorter at the beginning; NaN is left out."""
    window = max(1, len(values) // WINDOWS)
    there = ~np.isnan(values)
    totals = np.cumsum(np.where(there, values, 0.0), axis=0)
    counts = np.cumsum(there, axis=0).astype(np.float64)
    for sums in (totals, counts):
        sums[window:] -= sums[:-window].copy()
    with np.errstate(invalid="ignore"):  # nothing in a window: 0 / 0, which is NaN
        means: Array = totals / counts
    return means
