"""Ends completions right after a given text, such as `</answer>`, in addition to end tokens.

Engines know tokens, not text. After each token, an engine asks whether the row is complete (`is_complete`).
Anything written after such a text nevertheless is cut off (`cut`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache

from swarmd.rollout.interface import Decoded

PIECES_KEPT = 4_096  # texts of single tokens: completions write a few hundred different ones
TAIL_SLACK = 8  # tokens: a character can be split into four, at both ends of a stop
UNFINISHED = "\ufffd"  # what part of a character is decoded to


class Stops:
    """The texts that end a completion. `text_of` decodes tokens."""

    def __init__(self, stops: Sequence[str], text_of: Callable[[Sequence[int]], str]) -> None:
        self._stops = tuple(stops)
        self._text_of = text_of
        # Every non-empty token holds at least one byte.
        self._tail = max(len(stop.encode()) for stop in stops) + TAIL_SLACK
        self._last_characters = frozenset(stop[-1] for stop in stops)
        self._may_complete = lru_cache(PIECES_KEPT)(self._may_complete_anew)

    def is_complete(self, token_ids: Sequence[int]) -> bool:
        """Whether the last of these tokens completes a stop. Cheap for almost every token.

        Misses a stop that has control tokens inside. `cut` finds it later.
        """
        return (
            self._may_complete(token_ids[-1])
            and self._holds_stop(token_ids[-self._tail :])
            and self._holds_stop(token_ids)
        )

    def _may_complete_anew(self, token: int) -> bool:
        """Whether the token's text contains the last character of a stop. Decoded alone, it may lack a
        space."""
        text = self._text_of([token])
        return UNFINISHED in text or any(last.isspace() or last in text for last in self._last_characters)

    def ends(self, text: str) -> bool:
        """Whether a completion contains one of the stops."""
        return any(stop in text for stop in self._stops)

    def _holds_stop(self, token_ids: Sequence[int]) -> bool:
        return self.ends(self._text_of(token_ids))

    def cut(self, row: Decoded) -> Decoded:
        """The completion up to the token with which its text first contains a stop.

        A completion that was cut is not `finished`, because it has lost any end token. So it is trained on as
        it is, here and by other peers, and no peer learns an end that was not sampled. The last token may
        contain more than the stop, because tokens are never split.
        """
        whole = len(row.token_ids)
        if not self._holds_stop(row.token_ids):
            return row
        length = bisect_left(range(whole), True, key=lambda end: self._holds_stop(row.token_ids[:end]))
        if length == whole:
            return row
        return replace(row, token_ids=row.token_ids[:length], logprobs=row.logprobs[:length], finished=False)
