"""What every logprobs engine promises, and the rows it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients


@dataclass(frozen=True)
class TokenRow:
    """A prompt and one completion of it, as token ids."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


class LogprobsEngine(Protocol):
    """Says how likely completions are under one model. Rows of one prompt are adjacent."""

    @property
    def factored(self) -> FactoredGradients | None:
        """Where this engine leaves gradients that it does not put into `.grad`, once `begin` was called."""
        ...

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """How much of a budget of tokens these rows take together. One more row never takes less."""
        ...

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, T] of the completions' tokens, and a mask [B, T] that says what is a token.

        float32, and differentiable if gradients are enabled. T is the length of the longest completion; the
        rest of shorter ones is 0.
        """
        ...

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`logprobs`, and the states [B, T, H] from which the output layer made each, without gradient."""
        ...
