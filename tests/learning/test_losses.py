"""Losses per token, against values worked out by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swarmd.learning.algorithms import Grpo
from swarmd.learning.external import AsOwn, ExternalBatch
from swarmd.learning.losses import clipped_surrogate, is_clipped, k3_penalty

CLIP = (0.2, 0.28)


def surrogate(ratio, advantage):
    """Loss and its gradient in log-probability, for one token."""
    logprob = torch.tensor([[math.log(ratio)]], dtype=torch.float64, requires_grad=True)
    old = torch.zeros(1, 1, dtype=torch.float64)
    loss = clipped_surrogate(logprob, old, torch.tensor([advantage], dtype=torch.float64), *CLIP)
    loss.sum().backward()
    return loss.item(), logprob.grad.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),
        (1.0, -2.0, 2.0, 2.0),
        (1.2, 1.0, -1.2, -1.2),  # inside: -r A, and d/dlogp (-r A) = -r A
        (1.5, 1.0, -1.28, 0.0),  # clipped above
        (0.5, 1.0, -0.5, -0.5),  # a good token that became rarer is not clipped
        (0.5, -1.0, 0.8, 0.0),  # clipped below
        (1.5, -1.0, 1.5, 1.5),  # a bad token that became likelier is not clipped
    ],
)
def test_the_clipped_surrogate_by_hand(ratio, advantage, loss, gradient):
    assert surrogate(ratio, advantage) == pytest.approx((loss, gradient))


@given(st.floats(0.2, 3), st.floats(-3, 3).filter(lambda a: abs(a) > 1e-3))
def test_the_gradient_raises_good_tokens_and_lowers_bad_ones_or_is_clipped(ratio, advantage):
    _, gradient = surrogate(ratio, advantage)
    assert gradient * advantage <= 0
    clipped = is_clipped(
        torch.tensor([[math.log(ratio)]], dtype=torch.float64),
        torch.zeros(1, 1, dtype=torch.float64),
        torch.tensor([advantage]),
        *CLIP,
    )
    assert clipped.item() == (gradient == 0)


def test_no_gradient_flows_into_the_old_logprobs():
    old = torch.zeros(1, 2, requires_grad=True)
    new = torch.zeros(1, 2, requires_grad=True)
    clipped_surrogate(new, old, torch.ones(1), *CLIP).sum().backward()
    assert old.grad is None
    assert new.grad is not None


def test_k3_by_hand_and_never_negative():
    policy = torch.tensor([[0.0, -1.0, -2.0]], requires_grad=True)
    reference = torch.tensor([[0.0, -2.0, -1.0]])
    penalty = k3_penalty(policy, reference)
    assert penalty[0].tolist() == pytest.approx([0.0, math.exp(-1), math.e - 2])
    penalty.sum().backward()
    # d/dp (exp(ref - p) - (ref - p) - 1) = 1 - exp(ref - p): pulls towards the reference from both sides
    assert policy.grad[0].tolist() == pytest.approx([0.0, 1 - math.exp(-1), 1 - math.e])


def test_as_own_has_ratio_one_at_first_and_clips_on_later_updates():
    def loss(logprobs, first):
        batch = ExternalBatch(
            logprobs=logprobs,
            old_logprobs=first,
            mask=torch.ones_like(first, dtype=torch.bool),
            advantages=torch.tensor([2.0]),
            behaviour_logprob_sums=torch.tensor([-1000.0]),  # a claim: not used
            same_tokens=torch.tensor([True]),
            text_bytes=torch.tensor([2.0]),
        )
        return AsOwn(Grpo(*CLIP))(batch)

    logprobs = torch.tensor([[-9.0, -0.1]], requires_grad=True)
    loss(logprobs, logprobs.detach()).sum().backward()
    assert logprobs.grad.tolist() == [[-2.0, -2.0]], "the same weight for unlikely and likely tokens"
    moved = (logprobs.detach() + 1).requires_grad_()
    assert loss(moved, logprobs.detach())[0].tolist() == pytest.approx([-2.56, -2.56])
