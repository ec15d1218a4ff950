"""Completions that end right after a text, such as `</answer>`, and not only at an end token.

Engines know tokens, not text. What they wrote after such a text is cut off here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from swarmd.rollout.interface import Decoded


def cut_at_stop(row: Decoded, stops: Sequence[str], text_of: Callable[[Sequence[int]], str]) -> Decoded:
    """The completion up to the token with which its text first holds one of `stops`.

    A completion that was cut is not `finished`, because the end token, if there was one, is gone. So it is
    trained on as it is, here and by others, and nobody learns an end that was not sampled. The last token may
    hold more than the stop, because tokens are never split.
    """

    def stopped(length: int) -> bool:
        text = text_of(row.token_ids[:length])
        return any(stop in text for stop in stops)

    whole = len(row.token_ids)
    if not stopped(whole):
        return row
    length = bisect_left(range(whole), True, key=stopped)
    if length == whole:
        return row
    return replace(row, token_ids=row.token_ids[:length], logprobs=row.logprobs[:length], finished=False)
