"""Numbers formatted for people, in the live view and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

CURVE_WIDTH = 60  # characters, one step each
BLOCKS = "▁▂▃▄▅▆▇█"
MEGABYTE = 1e6


def sparkline(values: Sequence[float], width: int = CURVE_WIDTH) -> str:
    """Return the newest `width` values of 0..1, one block each. The scale is fixed, so that two runs can be
    compared.
    """
    return "".join(
        BLOCKS[min(int(max(value, 0.0) * len(BLOCKS)), len(BLOCKS) - 1)] for value in values[-width:]
    )


def squeezed(values: Sequence[float], width: int) -> list[float]:
    """Return `values` reduced to at most `width` numbers, each the mean of a stretch of about equal
    length.
    """
    if len(values) <= width:
        return list(values)
    edges = [index * len(values) // width for index in range(width + 1)]
    return [sum(values[i:j]) / (j - i) for i, j in pairwise(edges)]


def held_out(success: float | None, step: int | None) -> str:
    """Like 0.430 at step 50; – before the first evaluation."""
    return "–" if success is None else f"{success:.3f} at step {step}"


def short_count(number: float) -> str:
    """Like 950, 1.42 M or 7.6 B."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g} {letter}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Like 42 s, 3 min 5 s or 2 h 10 min."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def downloading(model: str, done: int, total: int) -> str:
    """Like downloading Qwen/Qwen2.5-0.5B: 120 of 988 MB; both counts are given in bytes."""
    return f"downloading {model}: {done / MEGABYTE:.0f} of {total / MEGABYTE:.0f} MB"
