"""What computing with a language model means here: two small interfaces, and the values they exchange.

A `Generator` writes tokens, a `Scorer` says how likely tokens are; whatever they fuse, pack or capture, both
speak of the same tokens with the same log-probabilities. Nothing here knows text, rewards or groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from swarmd.policy.pending import PendingGradients

Progress = Callable[[int], None]
"""Receives the number of tokens decoded since the last call. Called once a decoding step; what it raises ends
the decoding. A negative number: as many of those told of are to be decoded again."""


class StopSignal(Protocol):
    """The part of `threading.Event` that is needed."""

    def is_set(self) -> bool: ...


class GenerationStoppedError(Exception):
    """`should_stop` was set: nothing was generated. Not an error of anyone's, so not in the daemon's tree."""


@dataclass(frozen=True)
class Decoded:
    """One completion as tokens. The end-of-sequence token is the last one if and only if `finished`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finished: bool


@dataclass(frozen=True)
class TokenRow:
    """A prompt and one completion of it, to be scored."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


class Generator(Protocol):
    """Writes completions with one model."""

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        copies: int,
        max_new_tokens: int,
        *,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None,
        should_stop: StopSignal | None,
    ) -> list[Decoded]:
        """`copies` completions of every prompt, prompt by prompt.

        uniforms [prompts * copies, >= max_new_tokens]; None decodes greedily. Raises GenerationStoppedError.
        """
        ...


class Scorer(Protocol):
    """Says how likely completions are under one model. Rows of one prompt come next to each other."""

    @property
    def pending(self) -> PendingGradients | None:
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


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; what is trained stays float32 (small updates vanish in bfloat16)."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
