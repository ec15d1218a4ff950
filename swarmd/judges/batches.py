"""How many texts a judge reads at once: a bound on tokens, so on memory. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

TOKENS_AT_ONCE = 4_096  # padding included: some 30 short questions, and a bound on what a judge holds


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts of these lengths in tokens, the shortest first, in batches of equal or near lengths.

    A batch has at most `TOKENS_AT_ONCE` tokens with its padding, or a single text.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and (len(batch) + 1) * lengths[index] > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
