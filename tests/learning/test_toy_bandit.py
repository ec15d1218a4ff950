"""A softmax over ten arms, fed by somebody else's choices: what the paper's rule does off policy.

Kept because it shows when `as_own` is safe: while negative examples are what this policy writes itself.
"""

import torch

from swarmd.learning import AsOwn, ExternalBatch

ARMS = 10


def train(keep_negative, updates=600, learning_rate=0.5):
    """Every update trains on each arm once, as by a uniform stranger; arm 0 is right, arm 1 half right."""
    logits = torch.zeros(ARMS, requires_grad=True)
    rewards = torch.zeros(ARMS)
    rewards[0], rewards[1] = 1.0, 0.5
    advantages = (rewards - rewards.mean()) / rewards.std()
    if not keep_negative:
        advantages = advantages.clamp(min=0)
    for _ in range(updates):
        logprobs = torch.log_softmax(logits, dim=0)[:, None]
        batch = ExternalBatch(
            logprobs=logprobs,
            first_logprobs=logprobs.detach(),
            mask=torch.ones(ARMS, 1, dtype=torch.bool),
            advantages=advantages,
            behaviour_logprob_sums=torch.full((ARMS,), float("nan")),
        )
        (gradient,) = torch.autograd.grad(AsOwn(0.2, 0.28)(batch).sum() / ARMS, logits)
        with torch.no_grad():
            logits -= learning_rate * gradient
    return logits.detach()


def test_negative_advantages_on_unlikely_text_are_unbounded_under_as_own():
    short, long = train(True, updates=300), train(True, updates=600)
    # The push on an arm does not weaken as its probability goes to 0: logits fall as far each update.
    assert long.min() < 1.9 * short.min()
    assert long.max() - long.min() > 60


def test_positive_advantages_alone_settle_where_the_strangers_rewards_put_them():
    logits = train(False)
    probabilities = torch.softmax(logits, dim=0)
    assert probabilities.argmax() == 0
    assert probabilities[1] > 0.2, "the second-best arm is kept"
    assert logits.max() - logits.min() < 10
