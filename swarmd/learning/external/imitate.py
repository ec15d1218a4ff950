"""Imitation: others' good answers as examples to learn by heart."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from swarmd.learning.batching import TrainRow
from swarmd.learning.external.batch import ExternalBatch


@dataclass(frozen=True)
class Imitate:
    """-A log pi where A > 0, nothing elsewhere: supervised learning, weighted by advantage.

    TOPR (arXiv 2503.14286) without its negatives; needs nothing of the behaviour policy, so it is the same
    for every publisher, tokenizer and claim. It pulls towards the text even where that is very unlikely here.
    """

    def trains_on(self, row: TrainRow) -> bool:
        return row.advantage > 0

    def __call__(self, batch: ExternalBatch) -> Tensor:
        return -batch.advantages.clamp(min=0.0)[:, None] * batch.logprobs
