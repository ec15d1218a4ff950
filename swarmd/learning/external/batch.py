"""What is known of external completions when they are trained on, and what a loss makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from swarmd.learning.algorithms import Values
from swarmd.learning.batching import TrainRow


@dataclass(frozen=True)
class ExternalBatch:
    """B external completions, padded to T tokens. What an `ExternalLoss` may use."""

    logprobs: Tensor
    """[B, T] under the policy now, with gradient."""
    first_logprobs: Tensor
    """[B, T] under the policy before the first update on this batch."""
    mask: Tensor
    """[B, T] bool: positions that are tokens."""
    advantages: Tensor
    """[B]"""
    behaviour_logprob_sums: Tensor
    """[B] as claimed by the publisher, nats a completion; NaN where nothing was claimed."""
    same_tokens: Tensor
    """[B] bool: written with this tokenizer, and re-encoded to as many tokens as the claim is over."""
    text_bytes: Tensor
    """[B] UTF-8 bytes of the text: what surprisal is compared by where tokenizers differ."""
    values: Values | None = None
    """For an algorithm with a value head."""


class ExternalLoss(Protocol):
    """The loss of external tokens."""

    def trains_on(self, row: TrainRow) -> bool:
        """Whether this completion has a gradient at all; one without is not put through the model."""
        ...

    def __call__(self, batch: ExternalBatch) -> Tensor:
        """Loss per token [B, T]; what it says outside `batch.mask` is ignored."""
        ...
