"""How much better a completion was than its group."""

from __future__ import annotations

import torch
from torch import Tensor

STD_EPSILON = 1e-4  # keeps the quotient finite; the common implementations use this value


def group_advantages(rewards: Tensor) -> Tensor:
    """GRPO (arXiv 2402.03300): A = (R - mean) / (std + eps) over one group, rewards [G] -> advantages [G].

    std is the sample standard deviation (divisor G - 1). Zeros if all rewards are equal.
    """
    if _all_equal(rewards):
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean()) / (rewards.std() + STD_EPSILON)


def centred_advantages(rewards: Tensor) -> Tensor:
    """Dr. GRPO (arXiv 2503.20783): A = R - mean over one group, [G] -> [G].

    Not divided by the spread, which would give questions that are almost always or almost never solved a
    larger weight. Zeros if all rewards are equal.
    """
    if _all_equal(rewards):
        return torch.zeros_like(rewards)
    return rewards - rewards.mean()


def _all_equal(rewards: Tensor) -> bool:
    # Equal rewards can differ from their mean by rounding, which a quotient would turn into advantages.
    return torch.equal(rewards.min(), rewards.max())
