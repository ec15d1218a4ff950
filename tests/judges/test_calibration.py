"""What a judge's probability is worth, fitted and measured on known answers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.judges.calibration import ANSWERS_MIN, Calibration, calibrated


def test_a_judge_that_always_says_little_is_calibrated_to_say_right_and_wrong():
    found = calibrated([1e-4, 1e-6] * 40, [True, False] * 40)
    assert found.agreement is None or found.agreement == 1.0
    mixed = calibrated([1e-4, 1e-4, 1e-6, 1e-6] * 20, [True, True, False, False] * 20)
    assert mixed.agreement == 1.0
    assert mixed.of(1e-4) > 0.5 > mixed.of(1e-6)


def test_a_judge_that_prefers_wrong_answers_is_not_believed_the_other_way_round():
    found = calibrated([0.1, 0.1, 0.9, 0.9] * 20, [True, True, False, False] * 20)
    assert found.slope == 0
    assert found.of(0.9) == found.of(0.1)


def test_too_few_answers_change_nothing():
    few = [True, False] * (ANSWERS_MIN - 1)
    assert calibrated([0.3] * len(few), few) == Calibration()
    assert Calibration().of(0.3) == pytest.approx(0.3)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=40, max_size=80),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_a_calibrated_probability_is_one_and_keeps_the_order(known, one, other):
    found = calibrated([p for p, _ in known], [right for _, right in known])
    low, high = found.of(min(one, other)), found.of(max(one, other))
    assert 0 <= low <= high <= 1
    assert math.isfinite(found.slope)
    assert found.agreement is None or 0 <= found.agreement <= 1
