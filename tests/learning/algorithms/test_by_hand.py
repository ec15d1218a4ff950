"""Each algorithm on a few numbers: advantages, the loss of a token, what it is averaged over."""

import math

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.learning import policy_algorithm
from swarmd.learning.advantages import centred_advantages
from swarmd.learning.algorithms import CompletionBatch, Denominators, DrGrpo, Grpo, Gspo, Ppo

GRPO = Grpo(0.2, 0.28)
DR_GRPO = DrGrpo(0.2, 0.28, length_max=10)
GSPO = Gspo(0.1, 0.2)
ALL = [GRPO, DR_GRPO, GSPO]


def batch(ratios, advantages, sampled=None):
    """Completions with these ratios to the policy before the first update; None pads."""
    width = max(len(row) for row in ratios)
    mask = torch.tensor([[n < len(row) for n in range(width)] for row in ratios])
    padded = [[math.log(r) for r in row] + [0.0] * (width - len(row)) for row in ratios]
    logprobs = torch.tensor(padded, dtype=torch.float64, requires_grad=True)
    first = torch.zeros_like(logprobs).detach()
    return CompletionBatch(
        logprobs=logprobs,
        rollout_logprobs=first if sampled is None else torch.tensor(sampled, dtype=torch.float64),
        old_logprobs=first,
        mask=mask,
        advantages=torch.tensor(advantages, dtype=torch.float64),
    )


def gradient(algorithm, given, used):
    """d loss / d log-probability of every token."""
    loss = algorithm.average(algorithm.loss(given).per_token, given.mask, used)
    (found,) = torch.autograd.grad(loss, given.logprobs)
    return found


# advantages ---------------------------------------------------------------------------------------


def test_dr_grpo_only_centres_the_rewards():
    assert centred_advantages(torch.tensor([1.0, 0.0, 0.0, 0.0])).tolist() == [0.75, -0.25, -0.25, -0.25]


@pytest.mark.parametrize("algorithm", ALL)
@pytest.mark.parametrize("reward", [0.0, 0.1, 1 / 3])
def test_equal_rewards_are_exactly_zero_whatever_the_rounding(algorithm, reward):
    assert algorithm.advantages(torch.full((7,), reward)).tolist() == [0.0] * 7


@pytest.mark.parametrize(("algorithm", "spread_matters"), [(GRPO, True), (DR_GRPO, False)])
def test_how_much_a_success_is_worth_depends_on_the_spread_in_grpo_only(algorithm, spread_matters):
    def gap(rewards):
        found = algorithm.advantages(torch.tensor(rewards, dtype=torch.float64))
        return (found.max() - found.min()).item()

    rare, even = gap([1.0, *[0.0] * 7]), gap([1.0, 0.0] * 4)
    assert (rare > 1.3 * even) == spread_matters
    assert spread_matters or rare == pytest.approx(even)


# losses -------------------------------------------------------------------------------------------


def test_grpo_is_the_mean_over_tokens_and_dr_grpo_over_the_room_there_was():
    given = batch([[1.0, 1.0, 1.0], [1.0]], [2.0, -1.0])
    used = Denominators(completions=2, tokens=4)
    assert gradient(GRPO, given, used).tolist() == [[-0.5, -0.5, -0.5], [0.25, 0, 0]]
    assert gradient(DR_GRPO, given, used).tolist() == [[-0.1, -0.1, -0.1], [0.05, 0, 0]]


def test_what_a_token_weighs_in_dr_grpo_does_not_depend_on_how_long_anything_is():
    def of_first_token(algorithm, length):
        given = batch([[1.0], [1.0] * length], [1.0, -1.0])
        return gradient(algorithm, given, Denominators(2, 1 + length))[0, 0].item()

    assert of_first_token(DR_GRPO, 2) == of_first_token(DR_GRPO, 9)
    assert of_first_token(GRPO, 2) == pytest.approx(10 / 3 * of_first_token(GRPO, 9))


def test_gspo_shares_one_ratio_among_the_tokens_of_a_completion():
    # s = sqrt(1.1 * 0.9), and each token takes half of d(-s A) = -s A
    given = batch([[1.1, 0.9], [1.0, 1.0]], [2.0, -1.0])
    share = -(0.99**0.5) * 2 / 2 / 2
    found = gradient(GSPO, given, Denominators(2, 4))
    assert found.tolist() == [pytest.approx([share, share]), pytest.approx([0.25, 0.25])]


@pytest.mark.parametrize(
    ("ratios", "advantage", "clipped"),
    [
        ([3.0, 1 / 3], 1.0, False),  # tokens far apart, their mean where it was: nothing is clipped
        ([1.0, 1.0, 2.0], 1.0, True),  # s = 2^(1/3) = 1.26: all of it, the tokens that did not move too
        ([1.0, 1.0, 2.0], -1.0, False),  # a bad completion that became likelier
        ([1.0, 0.7], -1.0, True),  # s = 0.84
        ([1.0, 0.7], 1.0, False),
    ],
)
def test_gspo_clips_whole_completions(ratios, advantage, clipped):
    given = batch([ratios, [1.0]], [advantage, 0.0])
    loss = GSPO.loss(given)
    assert loss.clipped[0].tolist() == [clipped] * len(ratios)
    flat = gradient(GSPO, given, Denominators(2, 3))[0] == 0
    assert flat.tolist() == [clipped] * len(ratios)


def test_grpo_clips_single_tokens_where_gspo_clips_all_or_nothing():
    given = batch([[3.0, 1 / 3]], [1.0])
    assert GRPO.loss(given).clipped.tolist() == [[True, False]]


def test_gspo_does_not_take_what_the_sampling_kernels_computed_for_a_move():
    given = batch([[1.0, 1.0]], [1.0], sampled=[[-0.5, -0.5]])
    assert not GSPO.loss(given).clipped.any()
    assert GRPO.loss(given).clipped.all(), "its range is wide enough to be measured from there"


@pytest.mark.parametrize("algorithm", ALL)
def test_padding_counts_for_nothing(algorithm):
    used = Denominators(2, 5)
    given = batch([[1.0, 1.1, 0.9], [1.05, 1.0]], [2.0, -1.0])
    apart = [batch([[1.0, 1.1, 0.9]], [2.0]), batch([[1.05, 1.0]], [-1.0])]
    together = algorithm.average(algorithm.loss(given).per_token, given.mask, used)
    shares = [algorithm.average(algorithm.loss(b).per_token, b.mask, used) for b in apart]
    assert together.item() == pytest.approx(sum(shares).item()), "shares of micro-batches add up"


def test_the_configuration_names_each_of_them():
    chosen = {
        "grpo": Grpo(0.2, 0.28),
        "dr_grpo": DrGrpo(0.2, 0.28, 64),
        "gspo": Gspo(3e-4, 4e-4),
        "ppo": Ppo(0.2, 0.28, value_clip=0.2, gamma=1.0, gae_lambda=0.95),
    }
    for name, algorithm in chosen.items():
        assert policy_algorithm(LearningConfig(algorithm=name), 64) == algorithm
    assert policy_algorithm(LearningConfig(), 64) == chosen["grpo"]
