"""Advantages: how much better a completion was than its group."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

STD_EPSILON = 1e-4  # keeps the quotient finite; common implementations use this value


def group_advantages(rewards: Tensor) -> Tensor:
    """GRPO (arXiv 2402.03300): A = (R - mean) / (std + eps) over one group, rewards [G] -> advantages [G].

    std is the sample standard deviation (divisor G - 1). Zeros if all rewards are equal.
    """
    if _all_equal(rewards):
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean()) / (rewards.std() + STD_EPSILON)


def centred_advantages(rewards: Tensor) -> Tensor:
    """Dr. GRPO (arXiv 2503.20783): A = R - mean over one group, [G] -> [G].

    There is no division by the spread, which would give more weight to questions that are almost always or
    almost never solved. Zeros if all rewards are equal.
    """
    if _all_equal(rewards):
        return torch.zeros_like(rewards)
    return rewards - rewards.mean()


def shared_advantages(rewards: Tensor, own_success: float, *, scaled: bool = True) -> Tensor:
    """Advantages of another peer's group, with a baseline shared with this peer: rewards [G] -> advantages
    [G].

    A = (R - m) / max(sqrt(m (1 - m)), std), m = (mean of the group + p) / 2. p, `own_success`, is this peer's
    own mean reward on the group's task family, in [0, 1]; std is the group's, with divisor G. If not
    `scaled`, A = R - m.

    This is a pooled baseline, as in XGRPO (arXiv 2605.07244), with two differences. It pools over a task
    family, because peers are asked different questions. And other peers' text is trained on, which XGRPO
    leaves out. Among equal peers, m is about the group's own mean. Otherwise, a right answer counts more if
    this peer fails at the family, and less if this peer does better than the group. A group in which every
    answer is right teaches until p is 1.

    sqrt(m (1 - m)) is the standard deviation of 0/1 rewards with mean m. Taking the larger of the two
    prevents a single right answer of many from counting more than in its own group. Zeros if m is 0 or 1, and
    for equal rewards below m.
    """
    baseline, deviation = shared_baseline(rewards.tolist(), own_success)
    if not deviation:
        return torch.zeros_like(rewards)
    advantages = (rewards - baseline) / (deviation if scaled else 1.0)
    return advantages.clamp(min=0.0) if _all_equal(rewards) else advantages


def shared_baseline(rewards: Sequence[float], own_success: float) -> tuple[float, float]:
    """m, and the divisor of R - m, which is 0 if there is nothing to learn."""
    mean = sum(rewards) / len(rewards)
    baseline = (mean + own_success) / 2
    if baseline * (1 - baseline) <= STD_EPSILON**2:
        return baseline, 0.0
    spread = sum((reward - mean) ** 2 for reward in rewards) / len(rewards)
    return baseline, math.sqrt(max(baseline * (1 - baseline), spread))


def _all_equal(rewards: Tensor) -> bool:
    # Rounding can make equal rewards differ from their mean, and the quotient would turn that into
    # advantages.
    return torch.equal(rewards.min(), rewards.max())
