"""GRPO, averaged over tokens as DAPO does: the default."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from swarmd.learning.advantages import group_advantages
from swarmd.learning.algorithms.clipping import clipped_loss
from swarmd.learning.algorithms.interface import CompletionBatch, TokenLoss, Used


@dataclass(frozen=True)
class Grpo:
    """-sum min(r A, clip(r) A) / number of tokens, A = (R - mean) / std (arXiv 2402.03300, 2503.14476)."""

    clip_low: float
    clip_high: float
    with_values: bool = False

    def advantages(self, rewards: Tensor) -> Tensor:
        return group_advantages(rewards)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        return clipped_loss(
            batch.logprobs, batch.sampled_logprobs, batch.advantages, self.clip_low, self.clip_high
        )

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        return per_token.masked_fill(~mask, 0.0).sum() / used.tokens
