"""Truncated importance sampling: weigh external text by how much likelier it is here than at its author's."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.learning.batching import TrainRow
from swarmd.learning.external.batch import ExternalBatch
from swarmd.learning.external.behaviour import believed_logprob_sums, own_logprob_sums

WEIGHT_MAX = 2.0  # C; the usual default of truncated importance sampling (verl, ms-swift, TRL)


@dataclass(frozen=True)
class TruncatedImportance:
    """-sg[min(s, C)] A log pi, with s = exp(mean over tokens of log pi - log mu).

    The mean in place of the sum (as GSPO's, arXiv 2507.18071): peers' policies differ by design, some tenths
    of a nat a token, and the product over a hundred tokens would be 0 for all that others write. The mean is
    biased, but its variance does not grow with the length, and it still vanishes as the text becomes
    impossible here. Only completions whose claim is over the same tokens are used; others have weight 0, as
    weight 1 would be `as_own` with its unbounded push on bad text.
    """

    def trains_on(self, row: TrainRow) -> bool:
        return row.advantage != 0 and row.same_tokens and row.behaviour_logprob_sum is not None

    def __call__(self, batch: ExternalBatch) -> Tensor:
        tokens = batch.mask.sum(dim=1).clamp(min=1)
        mean = (own_logprob_sums(batch) - believed_logprob_sums(batch)) / tokens
        usable = batch.same_tokens & ~batch.behaviour_logprob_sums.isnan()
        weight = torch.where(usable, torch.exp(mean).clamp(max=WEIGHT_MAX), 0.0)
        return -(weight * batch.advantages)[:, None] * batch.logprobs
