"""TOPR: imitate what was good, unlearn what was bad only as far as this policy would write it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.learning.batching import TrainRow
from swarmd.learning.external.batch import ExternalBatch
from swarmd.learning.external.behaviour import believed_logprob_sums, own_logprob_sums


@dataclass(frozen=True)
class Topr:
    """Tapered off-policy REINFORCE (arXiv 2503.14286): -w A log pi, with w = 1 where A >= 0, and
    w = sg[clip(pi / mu, 0, 1)] of the whole completion where A < 0.

    The push on bad text vanishes with its probability, so the loss is bounded below. Probabilities of whole
    texts are compared, which means the same under every tokenizer; across different models the quotient is
    then mostly 0 for long bad text, and what remains is imitation. mu is the claim as far as it is believed.
    """

    def trains_on(self, row: TrainRow) -> bool:
        return row.advantage != 0

    def __call__(self, batch: ExternalBatch) -> Tensor:
        quotient = torch.exp((own_logprob_sums(batch) - believed_logprob_sums(batch)).clamp(max=0.0))
        weight = torch.where(batch.advantages < 0, quotient, 1.0)
        return -(weight * batch.advantages)[:, None] * batch.logprobs
