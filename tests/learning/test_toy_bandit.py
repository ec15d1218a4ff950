"""A softmax over ten arms, fed by somebody else's choices: what each external loss does off policy.

Kept because it shows when `as_own` is safe: while negative examples are what this policy writes itself.
"""

import math

import pytest
import torch

from swarmd.learning.algorithms import Grpo
from swarmd.learning.external import AsOwn, ExternalBatch, Imitate, Topr, TruncatedImportance

ARMS = 10
UNIFORM = math.log(1 / ARMS)
AS_OWN = AsOwn(Grpo(0.2, 0.28))
BOUNDED = [Topr(), TruncatedImportance(), Imitate()]


def train(loss, *seen, keep_negative=True, claim=UNIFORM, learning_rate=0.5):
    """The logits after each of the numbers of updates in `seen`, which rise. Every update trains on each arm
    once, as by a uniform stranger; arm 0 is right, arm 1 half right."""
    logits = torch.zeros(ARMS, requires_grad=True)
    rewards = torch.zeros(ARMS)
    rewards[0], rewards[1] = 1.0, 0.5
    advantages = (rewards - rewards.mean()) / rewards.std()
    if not keep_negative:
        advantages = advantages.clamp(min=0)
    found = []
    for update in range(1, seen[-1] + 1):
        logprobs = torch.log_softmax(logits, dim=0)[:, None]
        batch = ExternalBatch(
            logprobs=logprobs,
            old_logprobs=logprobs.detach(),
            mask=torch.ones(ARMS, 1, dtype=torch.bool),
            advantages=advantages,
            behaviour_logprob_sums=torch.full((ARMS,), claim),
            same_tokens=torch.ones(ARMS, dtype=torch.bool),
            text_bytes=torch.ones(ARMS),
        )
        (gradient,) = torch.autograd.grad(loss(batch).sum() / ARMS, logits)
        with torch.no_grad():
            logits -= learning_rate * gradient
        if update in seen:
            found.append(logits.detach().clone())
    return found


def spread(logits):
    return (logits.max() - logits.min()).item()


def test_negative_advantages_on_unlikely_text_are_unbounded_under_as_own():
    short, long = train(AS_OWN, 300, 600)
    # The push on an arm does not weaken as its probability goes to 0: logits fall as far each update.
    assert long.min() < 1.9 * short.min()
    assert spread(long) > 60


def test_positive_advantages_alone_settle_where_the_strangers_rewards_put_them():
    [logits] = train(AS_OWN, 600, keep_negative=False)
    probabilities = torch.softmax(logits, dim=0)
    assert probabilities.argmax() == 0
    assert probabilities[1] > 0.2, "the second-best arm is kept"
    assert spread(logits) < 10


@pytest.mark.parametrize("loss", BOUNDED)
def test_the_other_losses_stay_bounded_and_keep_the_second_best_arm(loss):
    short, long = train(loss, 600, 1200)
    probabilities = torch.softmax(long, dim=0)
    assert spread(long) < 8
    assert spread(long) - spread(short) < 1, "the logarithm of the updates, not their number"
    assert probabilities.argmax() == 0
    assert probabilities[1] > 0.25
    assert probabilities[2:].max() < 0.01, "what was bad is unlearned all the same"


@pytest.mark.parametrize("loss", BOUNDED)
def test_a_claim_that_the_text_was_all_but_impossible_does_not_undo_the_bound(loss):
    short, long = train(loss, 600, 1200, claim=-1e6)
    assert spread(long) < 11
    assert spread(long) - spread(short) < 1
    assert torch.softmax(long, dim=0)[1] > 0.25
