"""GSPO: one ratio for a whole completion, clipped as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.learning.advantages import group_advantages
from swarmd.learning.algorithms.clipping import clipped_loss
from swarmd.learning.algorithms.interface import CompletionBatch, TokenLoss, Used


@dataclass(frozen=True)
class Gspo:
    """-mean over completions of min(s A, clip(s) A), s = exp(mean over tokens of log r) (arXiv 2507.18071).

    The range is hundreds of times narrower than GRPO's, since a mean moves that much less than a token. The
    ratio is therefore to `first_logprobs`: while sampling, the numbers come from other kernels, and in
    bfloat16 their mean is further away than the clip is wide.
    """

    clip_low: float
    clip_high: float
    with_values: bool = False

    def advantages(self, rewards: Tensor) -> Tensor:
        return group_advantages(rewards)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        now, first = (_token_mean(values, batch.mask) for values in (batch.logprobs, batch.first_logprobs))
        whole = clipped_loss(now, first, batch.advantages, self.clip_low, self.clip_high)
        return TokenLoss(whole.per_token.expand_as(batch.mask), whole.clipped.expand_as(batch.mask))

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        return _token_mean(per_token, mask).sum() / used.completions


def _token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T] -> [B, 1]: the mean over each completion's tokens. Completions are never empty."""
    total: Tensor = torch.where(mask, values, 0.0).sum(dim=1, keepdim=True)
    return total / mask.sum(dim=1, keepdim=True)
