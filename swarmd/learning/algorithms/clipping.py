"""The clipped surrogate as algorithms use it: the loss of each token, and where the clip has made it flat."""

from __future__ import annotations

from torch import Tensor

from swarmd.learning.algorithms.interface import TokenLoss
from swarmd.learning.losses import clipped_surrogate, is_clipped


def clipped_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> TokenLoss:
    """Log-probabilities [B, T], or [B, 1] of whole completions; advantages [B], or [B, T] by token."""
    return TokenLoss(
        clipped_surrogate(logprobs, old_logprobs, advantages, clip_low, clip_high),
        is_clipped(logprobs, old_logprobs, advantages, clip_low, clip_high),
    )
