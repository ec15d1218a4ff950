"""Intervals, tests of paired differences and smoothing: known cases, and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.experiment.reporting.statistics import (
    PAIRS_EXACT,
    estimate,
    gain,
    holm,
    sign_flip_p,
    smoothed,
    window_of,
)

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


@settings(max_examples=20)
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


P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def test_all_signs_are_tried_where_there_are_few_pairs() -> None:
    assert sign_flip_p(np.array([1.0, 2.0, 3.0, 4.0, 5.0])) == 2 / 2**5
    assert sign_flip_p(np.array([1.0, 2.0, -3.0])) == 1.0  # they add up to nothing
    assert sign_flip_p(np.array([1.0, 2.0, 6.0, -1.0])) == 6 / 2**4  # sums of 10, 8, 8 and their opposites
    assert sign_flip_p(np.zeros(4)) == 1.0


def test_of_many_pairs_random_signs_are_drawn_and_p_is_never_zero() -> None:
    several = np.ones(PAIRS_EXACT + 20)
    assert sign_flip_p(several) == pytest.approx(1e-4)  # 2**-32 is never drawn: only what was seen itself
    one = np.zeros(PAIRS_EXACT + 20)
    one[3] = 1.0
    assert sign_flip_p(one) == 1.0
    assert sign_flip_p(several) == sign_flip_p(several)


@settings(max_examples=50)
@given(st.lists(st.integers(-100, 100), min_size=1, max_size=8))
def test_p_does_not_depend_on_order_or_direction_or_scale(values) -> None:
    differences = np.array(values, dtype=np.float64)
    p = sign_flip_p(differences)
    assert 2 / 2 ** len(values) <= p <= 1.0
    assert sign_flip_p(differences[::-1]) == p
    assert sign_flip_p(-differences) == p
    assert sign_flip_p(2 * differences) == p


def test_holm_gives_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


@given(P_VALUES)
def test_holm_never_lowers_a_p_and_keeps_their_order(p) -> None:
    corrected = holm(p)
    assert all(raw <= new <= 1.0 for raw, new in zip(p, corrected, strict=True))
    assert corrected[int(np.argmin(p))] == min(1.0, len(p) * min(p))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(corrected)[order]) >= 0).all()


def test_a_smoothed_curve_is_the_mean_of_a_window_without_what_is_missing() -> None:
    values = np.arange(60.0)[:, None]
    assert window_of(len(values)) == 3
    assert smoothed(values, 3)[[0, 1, 2, 10], 0] == pytest.approx([0, 0.5, 1, 9])
    values[10] = np.nan
    assert smoothed(values, 3)[10, 0] == pytest.approx(8.5)
