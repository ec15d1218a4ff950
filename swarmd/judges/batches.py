"""Splits texts into batches for a judge: bounds tokens, and therefore memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from swarmd.judges.interface import Pair

TOKENS_AT_ONCE = 4_096  # including padding: some 30 short questions, and a bound on a judge's memory


CHARS_AT_ONCE = 4_096
"""Characters of other peers' texts in one call of a judge: some 30 short questions, or a few of the longest
answers. Own texts wait for one such call.
"""


def tokens_max(context: int) -> int:
    """The most tokens of one text for a judge with this context. Longer texts are worth nothing.

    Peers choose how long the turns of a conversation are, and the memory plan counts `TOKENS_AT_ONCE`.
    """
    return min(context, TOKENS_AT_ONCE)


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield indices of texts with these lengths in tokens, shortest first, in batches of similar lengths.

    A batch has at most `TOKENS_AT_ONCE` tokens including padding, or a single text.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def chunks(pairs: Sequence[Pair]) -> Iterator[list[Pair]]:
    """Yield the pairs in order, in chunks of at most `CHARS_AT_ONCE` characters, or of a single pair."""
    chunk: list[Pair] = []
    held = 0
    for pair in pairs:
        size = len(pair.question) + len(pair.answer)
        size += sum(len(text) for exchange in pair.earlier for text in exchange)
        if chunk and held + size > CHARS_AT_ONCE:
            yield chunk
            chunk, held = [], 0
        chunk.append(pair)
        held += size
    if chunk:
        yield chunk
