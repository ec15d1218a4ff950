"""How much better than its group a completion was."""

from __future__ import annotations

import torch
from torch import Tensor

STD_EPSILON = 1e-4  # keeps the quotient finite; the value of the common implementations


def group_advantages(rewards: Tensor) -> Tensor:
    """GRPO (arXiv 2402.03300): A = (R - mean) / (std + eps) over one group, rewards [G] -> advantages [G].

    The sample standard deviation (divisor G - 1). Zeros for a group whose rewards are all equal.
    """
    centred = rewards - rewards.mean()
    # Equal rewards can differ from their mean by rounding, which the quotient would turn into advantages.
    if torch.equal(rewards.min(), rewards.max()):
        return torch.zeros_like(rewards)
    return centred / (rewards.std() + STD_EPSILON)
