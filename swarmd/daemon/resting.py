"""How long a peer rests between its steps, so that they take no more of the time than its owner lets them."""

from __future__ import annotations

import statistics
from collections import deque

STEPS_KEPT = 9
"""The usual length of a step is the median of so many. A step that waited for a frozen worker, or for a
machine that slept, is not work: one such step, or four in a row, must not become minutes of rest."""


class Rest:
    """Hears of each step, and says how long to rest after it."""

    def __init__(self, duty: float) -> None:
        """`duty`: the share of the time that steps may take, in (0, 1]."""
        self._duty = duty
        self._lengths: deque[float] | None = None

    def after(self, step_s: float) -> float:
        """Seconds to rest after a step of `step_s` seconds. The first step of a run also loads and warms up,
        and says nothing: 0."""
        if self._lengths is None:
            self._lengths = deque(maxlen=STEPS_KEPT)
            return 0.0
        self._lengths.append(step_s)
        return statistics.median(self._lengths) * (1.0 / self._duty - 1.0)
