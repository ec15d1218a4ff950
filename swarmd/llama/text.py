"""The text of one row while it is decoded."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from swarmd.rollout.interface import Decoded, RowEnd


@dataclass
class Text:
    """A row's tokens so far, with their logprobs."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finished: bool = False
    """Whether an end token ended it."""
    ended: bool = False
    """Whether an end token or `row_end` ended it."""

    def write(self, token: int, logprob: float, ends: Collection[int], row_end: RowEnd | None) -> None:
        """Add one token, and determine whether it ends the row."""
        self.tokens.append(token)
        self.logprobs.append(logprob)
        self.finished = token in ends
        self.ended = self.finished or (row_end is not None and row_end(self.tokens))

    def decoded(self) -> Decoded:
        return Decoded(tuple(self.tokens), tuple(self.logprobs), self.finished)
