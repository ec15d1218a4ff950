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
    """Says how likely completions are under one model. Rows of one prompt come next to each other."""

    @property
    def factored(self) -> FactoredGradients | None:
        """Where this scorer leaves gradients that it does not put into `.grad`, once `begin` was called."""
        ...

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """What these rows, scored together, take of a budget of tokens: never less for one row more."""
        ...

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, T] of the completions' tokens, and the mask [B, T] of what is a token.

        float32, differentiable where gradients are enabled; T is the longest completion, the rest is 0.
        """
        ...

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`logprobs`, and what the output layer made each from: states [B, T, H], without gradient."""
        ...
