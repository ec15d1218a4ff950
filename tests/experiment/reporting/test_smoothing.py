"""Curves over rounds without most of their noise."""

from __future__ import annotations

import numpy as np
import pytest

from swarmd.experiment.reporting.smoothing import smoothed


def test_a_smoothed_curve_is_the_mean_of_a_window_without_what_is_missing() -> None:
    values = np.arange(60.0)[:, None]  # window of 3
    assert smoothed(values)[[0, 1, 2, 10], 0] == pytest.approx([0, 0.5, 1, 9])
    values[10] = np.nan
    assert smoothed(values)[10, 0] == pytest.approx(8.5)
