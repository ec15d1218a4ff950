"""The interface of every logprobs engine, and the rows it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients


@dataclass(frozen=True)
class TokenRow:
    """A prompt with one completion, as token ids."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


class LogprobsEngine(Protocol):
    """Computes how likely completions are under one model. Rows with the same prompt are adjacent."""

    @property
    def factored(self) -> FactoredGradients | None:
        """Gradients that this engine does not put into `.grad`, once `begin` has been called."""
        ...

    @property
    def shares_prompts(self) -> bool:
        """Whether a prompt is computed once for all its completions, instead of once for each."""
        ...

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """How much of a token budget these rows take together. Adding a row never reduces it."""
        ...

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        """Logprobs [B, T] of the completions' tokens, and a mask [B, T] that marks tokens.

        float32, differentiable if gradients are enabled. T is the length of the longest completion; shorter
        ones are filled with 0.
        """
        ...

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`logprobs`, and the states [B, T, H] from which the output layer computed each, without
        gradient."""
        ...
