"""Completions that end right after a text, such as `</answer>`, and not only at an end token.

Engines know tokens, not text. An engine asks after each token whether a row is complete (`is_complete`). What
was written behind such a text all the same is cut off (`cut`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from swarmd.rollout.interface import Decoded

PIECES_KEPT = 4_096  # texts of single tokens: completions write a few hundred different ones
TAIL_SLACK = 8  # tokens: a character may be cut into four, at both ends of a stop
UNFINISHED = "\ufffd"  # what a part of a character is decoded to


class Stops:
    """The texts that end a completion; `text_of` decodes tokens."""

    def __init__(self, stops: Sequence[str], text_of: Callable[[Sequence[int]], str]) -> None:
        self._stops = tuple(stops)
        self._text_of = text_of
        # A token that is not empty holds a byte at least.
        self._tail = max(len(stop.encode()) for stop in stops) + TAIL_SLACK
        self._last_characters = frozenset(stop[-1] for stop in stops)
        self._may_complete = lru_cache(PIECES_KEPT)(self._may_complete_anew)

    def is_complete(self, token_ids: Sequence[int]) -> bool:
        """Whether a stop is complete with the last of these tokens. Cheap for almost every token.

        A stop is overlooked where control tokens stand within it. `cut` finds it later.
        """
        return (
            self._may_complete(token_ids[-1])
            and self._holds_stop(token_ids[-self._tail :])
            and self._holds_stop(token_ids)
        )

    def _may_complete_anew(self, token: int) -> bool:
        """Whether this token's text has the last character of a stop. Alone it may lack a space."""
        text = self._text_of([token])
        return UNFINISHED in text or any(last.isspace() or last in text for last in self._last_characters)

    def ends(self, text: str) -> bool:
        """Whether a whole completion ended with one of them."""
        return any(stop in text for stop in self._stops)

    def _holds_stop(self, token_ids: Sequence[int]) -> bool:
        return self.ends(self._text_of(token_ids))

    def cut(self, row: Decoded) -> Decoded:
        """The completion up to the token with which its text first holds a stop.

        A completion that was cut is not `finished`, because the end token, if there was one, is gone. So it
        is trained on as it is, here and by others, and nobody learns an end that was not sampled. The last
        token may hold more than the stop, because tokens are never split.
        """
        whole = len(row.token_ids)
        if not self._holds_stop(row.token_ids):
            return row
        length = bisect_left(range(whole), True, key=lambda end: self._holds_stop(row.token_ids[:end]))
        if length == whole:
            return row
        return replace(row, token_ids=row.token_ids[:length], logprobs=row.logprobs[:length], finished=False)
