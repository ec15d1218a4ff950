"""What every engine promises: prompts as token ids in, completions out. No text, rewards or groups here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Progress = Callable[[int], None]
"""Receives the number of tokens decoded since the last call. It is called once per decoding step, and an
exception from it ends decoding. A negative number takes back tokens that will be decoded again."""


RowEnd = Callable[[Sequence[int]], bool]
"""Receives the tokens that a row wrote so far, after each, and says whether the row is complete without an
end token. Such a row is not `finished`."""


class StopSignal(Protocol):
    """The part of `threading.Event` that engines need."""

    def is_set(self) -> bool: ...


class GenerationStoppedError(Exception):
    """`should_stop` was set, so nothing was generated. Nobody is at fault, so it is not in the error tree."""


@dataclass(frozen=True)
class Decoded:
    """One completion as tokens. The end-of-sequence token is the last one if and only if `finished`."""

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
        """`num_completions` completions of every prompt, prompt by prompt.

        uniforms [prompts * num_completions, >= max_new_tokens]; None decodes greedily. An
        engine that cannot ask `row_end` writes on. Raises GenerationStoppedError.
        """
        ...


class ReplayingEngine(Engine, Protocol):
    """An engine that can be told what to write, so that it can be tried before it is used."""

    def replay(self, prompts: Sequence[Sequence[int]], completions: Tensor) -> Tensor:
        """The log-probabilities [R, T] that `decode` would record at temperature 1 if it wrote
        `completions`.

        completions [R, T], one per prompt. No token ends a row.
        """
        ...
