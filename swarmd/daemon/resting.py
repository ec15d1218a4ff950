"""How long a peer rests between steps, so that steps take no more of the time than its owner allows."""

from __future__ import annotations

import statistics
from collections import deque

STEPS_KEPT = 9
"""Steps whose median is the usual length of a step. Four outliers in a row, from a frozen worker or a
sleeping machine, therefore change nothing.
"""

STEPS_FEW = 5
"""With fewer steps, the usual length is that of the shortest: the first steps of a run are disturbed most."""

REST_S_MAX = 600.0
"""Longest rest in seconds: an owner who checks every ten minutes should see progress."""


class Rest:
    """Takes the length of each step, and returns how long to rest after it."""

    def __init__(self, duty: float) -> None:
        """`duty`: the share of the time that work may take, in (0, 1]."""
        self._duty = duty
        self._lengths: deque[float] = deque(maxlen=STEPS_KEPT)
        self._warmed_up = False

    def after(self, step_s: float, beside_s: float = 0.0) -> float:
        """Return how many seconds to rest after a step of `step_s` seconds and `beside_s` of evaluating and
        saving, at most `REST_S_MAX`. Returns 0 after the first step of a run, which also loads and warms up
        and so says nothing.
        """
        if not self._warmed_up:
            self._warmed_up = True
            return 0.0
        self._lengths.append(step_s)
        usual = statistics.median(self._lengths) if len(self._lengths) >= STEPS_FEW else min(self._lengths)
        return min(REST_S_MAX, (usual + beside_s) * (1.0 / self._duty - 1.0))
