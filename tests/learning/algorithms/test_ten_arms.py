"""A softmax over ten arms that samples for itself: every algorithm finds the best one."""

import pytest
import torch

from swarmd.learning.algorithms import CompletionBatch, Denominators, DrGrpo, Grpo, Gspo

ARMS = 10
GROUP = 8


def train(algorithm, learning_rate, updates=300, updates_per_batch=1):
    """One token a completion; arm 0 is right, arm 1 half right."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.zeros(ARMS, requires_grad=True)
    rewards = torch.zeros(ARMS)
    rewards[0], rewards[1] = 1.0, 0.5
    for _ in range(updates):
        arms = torch.multinomial(torch.softmax(logits.detach(), 0), GROUP, True, generator=generator)
        first = torch.log_softmax(logits.detach(), 0)[arms][:, None]
        for _ in range(updates_per_batch):
            batch = CompletionBatch(
                logprobs=torch.log_softmax(logits, 0)[arms][:, None],
                rollout_logprobs=first,
                old_logprobs=first,
                mask=torch.ones(GROUP, 1, dtype=torch.bool),
                advantages=algorithm.advantages(rewards[arms]),
            )
            loss = algorithm.average(algorithm.loss(batch).per_token, batch.mask, Denominators(GROUP, GROUP))
            (gradient,) = torch.autograd.grad(loss, logits)
            with torch.no_grad():
                logits -= learning_rate * gradient
    return torch.softmax(logits.detach(), 0)


@pytest.mark.parametrize("algorithm", [Grpo(0.2, 0.28), DrGrpo(0.2, 0.28, 1), Gspo(3e-4, 4e-4)])
def test_the_best_arm_is_found(algorithm):
    assert train(algorithm, learning_rate=0.5)[0] > 0.9


def test_gspos_narrow_range_holds_further_updates_on_a_batch_back():
    ranges = (3e-4, 4e-4), (0.9, 9.0)
    held, free = (train(Gspo(*clip), 0.1, updates=50, updates_per_batch=8)[0] for clip in ranges)
    assert held < 0.5 * free
