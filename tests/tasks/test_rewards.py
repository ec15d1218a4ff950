"""Whatever a scorer returns becomes a reward in [0, 1]."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks.rewards import reward_of, score_micro


@pytest.mark.parametrize(
    ("score", "micro"),
    [
        (1.0, 1_000_000),
        (1, 1_000_000),
        (True, 1_000_000),
        (0.25, 250_000),
        (Fraction(1, 4), 250_000),
        (np.float32(0.5), 500_000),
        (np.int64(1), 1_000_000),
        (1e67, 1_000_000),
        (10**400, 1_000_000),
        (-3.5, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        (float("-inf"), 0),
        ("1.0", 0),
        (None, 0),
        (1 + 0j, 0),
        ([1.0], 0),
    ],
)
def test_scores_are_clamped_and_only_finite_numbers_are_worth_anything(score: object, micro: int) -> None:
    assert score_micro(score) == micro


@given(st.floats() | st.integers() | st.text() | st.none())
def test_the_clamped_score_is_always_in_range(score: object) -> None:
    assert 0 <= score_micro(score) <= 1_000_000


def test_the_exact_rule_is_all_or_nothing_at_099_and_the_partial_rule_keeps_the_score() -> None:
    assert [reward_of(micro, "exact") for micro in (1_000_000, 990_000, 989_999, 0)] == [1.0, 1.0, 0.0, 0.0]
    assert [reward_of(micro, "partial") for micro in (1_000_000, 250_000, 0)] == [1.0, 0.25, 0.0]


@given(st.integers())
def test_no_report_from_the_sandbox_gives_a_reward_out_of_range(micro: int) -> None:
    assert 0.0 <= reward_of(micro, "partial") <= 1.0
    assert reward_of(micro, "exact") in (0.0, 1.0)
