"""All groups of a tiny language, each with its probability: the gradient an algorithm follows on average.

Four texts, two of one token and two of two: small enough to enumerate, and of different lengths.
"""

import itertools

import pytest
import torch

from swarmd.learning.algorithms import CompletionBatch, Denominators, DrGrpo, Grpo

TEXTS = [(0,), (1,), (2, 0), (2, 1)]
REWARDS = torch.tensor([0.1, 0.6, 0.0, 1.0], dtype=torch.float64)
GROUP = 3
LENGTH_MAX = 2


def tiny_language():
    """Logits of the first token and of the second one behind token 2."""
    return torch.tensor([1.0, 0.3, -0.5, 0.2, -0.8], dtype=torch.float64, requires_grad=True)


def token_logprobs(logits):
    """[4, 2] and the mask [4, 2]"""
    first, second = torch.log_softmax(logits[:3], 0), torch.log_softmax(logits[3:], 0)
    rows = [[first[text[0]], second[text[1]] if len(text) > 1 else first[0] * 0] for text in TEXTS]
    mask = torch.tensor([[True, len(text) > 1] for text in TEXTS])
    return torch.stack([torch.stack(row) for row in rows]), mask


def exact_gradient():
    """Of the expected reward."""
    logits = tiny_language()
    logprobs, _ = token_logprobs(logits)
    return torch.autograd.grad((logprobs.sum(dim=1).exp() * REWARDS).sum(), logits)[0]


def expected_gradient(algorithm):
    """Of minus the loss, over all groups that this policy can sample."""
    logits = tiny_language()
    logprobs, mask = token_logprobs(logits)
    probabilities = logprobs.detach().sum(dim=1).exp()
    total = torch.zeros((), dtype=torch.float64)
    for members in itertools.product(range(len(TEXTS)), repeat=GROUP):
        group = list(members)
        batch = CompletionBatch(
            logprobs=logprobs[group],
            rollout_logprobs=logprobs[group].detach(),
            old_logprobs=logprobs[group].detach(),
            mask=mask[group],
            advantages=algorithm.advantages(REWARDS[group]),
        )
        used = Denominators(completions=GROUP, tokens=int(mask[group].sum()))
        loss = algorithm.average(algorithm.loss(batch).per_token, batch.mask, used)
        total = total - probabilities[group].prod() * loss
    return torch.autograd.grad(total, logits)[0]


def test_dr_grpo_follows_the_direction_of_the_expected_reward_s_gradient():
    # A completion's own reward is in the mean: (G - 1) / G of the gradient, and L_max is a constant.
    found = expected_gradient(DrGrpo(0.2, 0.28, LENGTH_MAX))
    assert torch.allclose(found, exact_gradient() * (GROUP - 1) / GROUP / LENGTH_MAX, atol=1e-12)


def test_grpo_is_biased_by_spread_and_length():
    found, exact = expected_gradient(Grpo(0.2, 0.28)), exact_gradient()
    assert torch.nn.functional.cosine_similarity(found, exact, dim=0).item() < 0.995


@pytest.mark.parametrize("shift", [-3.0, 5.0])
def test_the_baseline_takes_what_all_rewards_share_out(shift):
    rewards = REWARDS[:GROUP]
    algorithm = DrGrpo(0.2, 0.28, LENGTH_MAX)
    assert torch.allclose(algorithm.advantages(rewards), algorithm.advantages(rewards + shift))
