"""RLOO: plain REINFORCE, each completion against the mean of the others in its group."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.learning.advantages import leave_one_out_advantages
from swarmd.learning.algorithms.interface import CompletionBatch, TokenLoss, Used


@dataclass(frozen=True)
class Rloo:
    """-mean over completions of A log pi(y), A = R - mean of the others' R (arXiv 2402.14740).

    The baseline does not depend on the completion it is for, so the gradient of the expected reward is
    estimated without bias. No ratio and no clip: one update on each batch, of text that this policy wrote.
    """

    with_values: bool = False

    def advantages(self, rewards: Tensor) -> Tensor:
        return leave_one_out_advantages(rewards)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        return TokenLoss(-batch.advantages[:, None] * batch.logprobs, torch.zeros_like(batch.mask))

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        return per_token.masked_fill(~mask, 0.0).sum() / used.completions
