"""How long steps and their phases took, counted in fixed buckets: the histograms of the metrics."""

from __future__ import annotations

from bisect import bisect_left

from swarmd.observe.snapshot import Durations

BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0)
"""Upper bounds in seconds, about a factor of three apart: a step takes the embedded model 0.1 s, and a large
one on a CPU some minutes. The last bucket is unbounded.
"""

PHASES = ("questions", "generating", "scoring", "training", "studying", "evaluating", "checkpoint")
"""The phases that are counted: waiting is not work."""


class DurationCounts:
    """Counts since the daemon started."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count one duration of `name`: "step" or one of PHASES."""
        counts = self._counts.setdefault(name, [0] * (len(BUCKETS_S) + 1))
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._sums[name] = self._sums.get(name, 0.0) + seconds

    def view(self) -> dict[str, Durations]:
        """Name -> its counts so far."""
        return {
            name: Durations(counts=tuple(counts), seconds=self._sums[name])
            for name, counts in self._counts.items()
        }
