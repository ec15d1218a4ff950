"""Tests of paired differences, against known cases and what must always hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.experiment.reporting.significance import PAIRS_EXACT, holm, sign_flip_p

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


@settings(max_examples=50, deadline=None)
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
