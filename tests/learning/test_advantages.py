"""Advantages: by hand, and what holds for any rewards."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.learning.advantages import group_advantages

REWARDS = st.lists(st.integers(0, 100), min_size=2, max_size=16).map(
    lambda values: torch.tensor([v / 100 for v in values], dtype=torch.float64)
)


def test_one_success_in_four_by_hand():
    # mean 1/4, sample variance (9 + 1 + 1 + 1) / 16 / 3 = 1/4, std 1/2
    advantages = group_advantages(torch.tensor([1.0, 0.0, 0.0, 0.0]))
    assert advantages.tolist() == pytest.approx([0.75 / 0.5001, *[-0.25 / 0.5001] * 3])


@pytest.mark.parametrize("reward", [0.0, 0.01, 0.1, 1 / 3, 1.0])
def test_equal_rewards_are_exactly_zero_whatever_the_rounding(reward):
    assert group_advantages(torch.full((7,), reward)).tolist() == [0.0] * 7


@given(REWARDS)
def test_the_mean_is_zero(rewards):
    assert group_advantages(rewards).mean().item() == pytest.approx(0, abs=1e-9)


@given(REWARDS, st.floats(-1, 1))
def test_a_shift_of_all_rewards_changes_nothing(rewards, shift):
    assert torch.allclose(group_advantages(rewards), group_advantages(rewards + shift), atol=1e-6)


@given(REWARDS, st.floats(0.5, 2))
def test_the_scale_of_the_rewards_hardly_matters(rewards, scale):
    # Not exactly: epsilon weighs more on smaller deviations, at most eps / std of the value.
    ours, scaled = group_advantages(rewards), group_advantages(rewards * scale)
    assert torch.allclose(ours, scaled, rtol=0.05, atol=1e-9)


@given(REWARDS)
def test_a_higher_reward_never_has_a_lower_advantage(rewards):
    advantages = group_advantages(rewards)
    order = rewards.argsort()
    assert (advantages[order].diff() >= 0).all()
