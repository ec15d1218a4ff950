"""Others' groups against a baseline that is half their group's and half this peer's own success."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.learning import Trainer
from swarmd.learning.advantages import shared_advantages

SHARES = st.floats(0, 1)
REWARDS = st.lists(st.integers(0, 1), min_size=2, max_size=16).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)
PLAIN = LearningConfig(warmup_steps=0, learning_rate=1e-3, external_baseline="shared")
TOY = bytes(16)
"""The task of `external_group`."""


def test_one_success_in_four_by_hand():
    # p = 3/4: m = (1/4 + 3/4) / 2 = 1/2, deviation 1/2
    assert shared_advantages(torch.tensor([1.0, 0.0, 0.0, 0.0]), 0.75).tolist() == [1.0, -1.0, -1.0, -1.0]
    assert shared_advantages(torch.tensor([1.0, 0.0]), 0.5, scaled=False).tolist() == [0.5, -0.5]


@given(REWARDS)
def test_among_equals_it_is_the_groups_own_baseline(rewards):
    advantages = shared_advantages(rewards, rewards.mean().item())
    assert advantages.mean().item() == pytest.approx(0, abs=1e-9)
    if rewards.min() < rewards.max():
        assert (advantages**2).mean().item() == pytest.approx(1)


@given(REWARDS, SHARES, SHARES)
def test_a_right_answer_counts_the_more_the_less_this_peer_can_do(rewards, one, other):
    if rewards.max() == 1:
        weak, able = (shared_advantages(rewards, p).max().item() for p in sorted((one, other)))
        assert weak >= able - 1e-9


def test_a_single_right_answer_counts_little_more_than_in_its_own_group():
    one_of_eight = torch.tensor([1.0] + [0.0] * 7)
    own = one_of_eight.mean() / one_of_eight.std(correction=0) * 7
    assert 1 < shared_advantages(one_of_eight, 0.0).max() / own < 1.1


@given(st.integers(1, 16), SHARES)
def test_a_group_that_is_wrong_throughout_teaches_nothing(size, own):
    assert shared_advantages(torch.zeros(size), own).tolist() == [0.0] * size


@given(st.integers(1, 16), st.floats(0, 0.99))
def test_a_group_that_is_right_throughout_teaches_until_this_peer_is_always_right(size, own):
    advantages = shared_advantages(torch.ones(size, dtype=torch.float64), own)
    assert advantages.min().item() == pytest.approx(math.sqrt((1 - own) / (1 + own)))
    assert shared_advantages(torch.ones(size), 1.0).tolist() == [0.0] * size


def used(policy, group, success, **settings):
    config = LearningConfig.model_validate(PLAIN.model_dump() | settings)
    return Trainer(policy, config).step([], [group], success).groups_external_used


def test_a_step_learns_from_a_group_that_is_right_throughout_only_where_this_peer_fails(
    make_policy, external_group
):
    policy = make_policy()
    right = external_group("2+2?", ("<answer>4</answer>", 1.0), ("<answer>4</answer>", 1.0))
    assert used(policy, right, {TOY: 0.0}) == 1
    assert used(policy, right, {TOY: 1.0}) == 0
    assert used(policy, right, {}) == 1, "a family never asked here counts as one that it fails at"
    assert used(policy, right, {TOY: 0.0}, external_baseline="group") == 0


def test_own_groups_keep_the_baseline_of_their_group(make_policy, own_groups):
    policy = make_policy()
    own = own_groups(policy, ["1+1?"], lambda text: 1.0)
    assert Trainer(policy, PLAIN).step(own, [], {TOY: 0.0}).groups_own_used == 0
