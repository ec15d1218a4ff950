"""Splits texts into batches for a judge: bounds tokens, and therefore memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TOKENS_AT_ONCE = 4_096  # including padding: some 30 short questions, and a bound on a judge's memory


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
