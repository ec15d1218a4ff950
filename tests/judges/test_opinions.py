"""From opinions to rewards, and what a judge may not say."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.errors import ModelError
from swarmd.judges.opinions import Opinion, checked, combined

PROBABILITY = st.floats(0, 1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1.001, "1", None])
def test_a_judge_that_gives_no_probability_is_named_and_refused(value):
    with pytest.raises(ModelError, match=r"the judge generative ./mine gave .*not a probability"):
        checked("generative ./mine", [0.5, value])


def test_opinions_are_weighted():
    judged = combined([Opinion(3, (1.0, 0.0), 1.0), Opinion(1, (0.0, 1.0), 0.0)], 2, "exact")
    assert judged.rewards == (0.75, 0.25)
    assert judged.confidence == 0.75


def test_in_an_exact_swarm_each_judge_says_right_or_wrong():
    assert combined([Opinion(1, (0.51, 0.49), 0.0)], 2, "exact").rewards == (1.0, 0.0)
    assert combined([Opinion(1, (0.51, 0.49), 0.0)], 2, "partial").rewards == (0.51, 0.49)


def test_a_judge_without_an_opinion_leaves_its_weight_to_the_others():
    assert combined([None, Opinion(1, (1.0,), 1.0)], 1, "exact").rewards == (1.0,)
    assert combined([None], 3, "exact").rewards == (0.0, 0.0, 0.0)


@given(
    st.lists(st.tuples(st.integers(1, 100), st.lists(PROBABILITY, min_size=3, max_size=3)), max_size=4),
    st.sampled_from(["exact", "partial"]),
)
def test_rewards_stay_between_0_and_1(opinions, rule):
    judged = combined([Opinion(w, tuple(p), 0.5) for w, p in opinions], 3, rule)
    assert all(0 <= reward <= 1 + 1e-12 for reward in judged.rewards)
