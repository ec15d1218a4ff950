"""Dr. GRPO: GRPO without its favour for long wrong answers and for questions of little spread."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from swarmd.learning.advantages import centred_advantages
from swarmd.learning.algorithms.clipping import clipped_loss
from swarmd.learning.algorithms.interface import CompletionBatch, TokenLoss, Used


@dataclass(frozen=True)
class DrGrpo:
    """-sum min(r A, clip(r) A) / (B x L_max), A = R - mean (arXiv 2503.20783).

    B completions in the groups used; L_max is the longest that one may be, so that what a completion weighs
    depends neither on its own length nor on that of others.
    """

    clip_low: float
    clip_high: float
    length_max: int
    with_values: bool = False

    def advantages(self, rewards: Tensor) -> Tensor:
        return centred_advantages(rewards)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        return clipped_loss(
            batch.logprobs, batch.sampled_logprobs, batch.advantages, self.clip_low, self.clip_high
        )

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        return per_token.masked_fill(~mask, 0.0).sum() / (used.completions * self.length_max)
