"""The interface of every engine: prompts as token ids in, completions out. No text, rewards or groups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Progress = Callable[[int], None]
"""Receives the number of tokens decoded since the last call. Called once per decoding step; an exception from
it ends decoding. A negative number retracts tokens that will be decoded again."""


RowEnd = Callable[[Sequence[int]], bool]
"""Called after each token with all tokens of a row so far; returns whether the row is complete without an end
token. Such a row is not `finished`."""


class StopSignal(Protocol):
    """The part of `threading.Event` needed by engines."""

    def is_set(self) -> bool: ...


class GenerationStoppedError(Exception):
    """`should_stop` was set, so nothing was generated. Not an error, so it is not in the error tree."""


@dataclass(frozen=True)
class Decoded:
    """One completion as tokens. The last token is an end-of-sequence token if and only if it is
    `finished`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finished: bool


class Engine(Protocol):
    """Writes completions with one model."""

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        num_completions: int,
        max_new_tokens: int,
        *,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None,
        should_stop: StopSignal | None,
        row_end: RowEnd | None = None,
    ) -> list[Decoded]:
        """Decode `num_completions` completions of every prompt, prompt by prompt.

        uniforms [prompts * num_completions, >= max_new_tokens]; None decodes greedily. An engine that does
        not support `row_end` ignores it. Raises GenerationStoppedError.
        """
        ...


class ReplayingEngine(Engine, Protocol):
    """An engine that can be forced to write given tokens, so that it can be tested before use."""

    def replay(self, prompts: Sequence[Sequence[int]], completions: Tensor) -> Tensor:
        """The logprobs [R, T] that `decode` would record at temperature 1 if it wrote `completions`.

        completions [R, T], one per prompt. No token ends a row.
        """
        ...
