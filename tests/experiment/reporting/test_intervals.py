"""Means and gains with bootstrap intervals, on known data and for what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.experiment.reporting.intervals import estimate, gain

SEVERAL = st.lists(st.integers(-1000, 1000), min_size=2, max_size=6)


def test_an_interval_holds_the_mean_and_one_seed_has_none() -> None:
    several = estimate([1.0, 2.0, 4.0])
    assert several.low is not None
    assert several.high is not None
    assert 1.0 <= several.low < several.mean < several.high <= 4.0
    assert estimate([1.0, 2.0, 4.0]) == several
    assert estimate([3.0]).low is None


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([0.0, 1.0], 0.0, 1.0),  # a quarter of all resamples are two zeros, a quarter two ones
        (
            [0.0, 0.0, 0.0, 0.0, 1.0],
            0.0,
            0.6,
        ),  # a mean above 0.4 has binomial probability 0.058, above 0.6 0.007
        ([0.3, 0.3, 0.3], 0.3, 0.3),
    ],
)
def test_an_interval_is_what_the_binomial_distribution_says(values, low, high) -> None:
    found = estimate(values)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@settings(max_examples=20, deadline=None)
@given(SEVERAL, st.integers(1, 50), st.integers(-500, 500))
def test_an_interval_moves_and_grows_with_the_data(values, scale, shift) -> None:
    plain, moved = estimate(values), estimate([scale * value + shift for value in values])
    assert plain.low is not None
    assert plain.high is not None
    assert min(values) <= plain.low <= plain.mean + 1e-9
    assert plain.mean - 1e-9 <= plain.high <= max(values)
    ends = [scale * end + shift for end in (plain.low, plain.high)]
    assert [moved.low, moved.high] == pytest.approx(ends, abs=1e-6)


def test_a_gain_is_of_means_and_paired_by_position() -> None:
    always_half_more = gain([1.5, 15.0], [1.0, 10.0])
    assert (always_half_more.mean, always_half_more.low) == (pytest.approx(0.5), pytest.approx(0.5))
    assert np.isnan(gain([1.0], [0.0]).mean)
