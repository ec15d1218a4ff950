"""How long a peer rests between its steps, so that they take no more of the time than its owner lets them."""

from __future__ import annotations

import statistics
from collections import deque

STEPS_KEPT = 9
"""The usual length of a step is the median of so many. A step that waited for a frozen worker, or for a
machine that slept, is not work, and four such steps in a row change nothing."""

STEPS_FEW = 5
"""With fewer, the usual length is that of the shortest: the first steps of a run are its most disturbed."""

REST_S_MAX = 600.0
"""Of one rest: who looks after ten minutes should find a peer that has done something."""


class Rest:
    """Hears of the work that was done, and says how long to rest after it."""

    def __init__(self, duty: float) -> None:
        """`duty`: the share of the time that work may take, in (0, 1]."""
        self._duty = duty
        self._lengths: deque[float] = deque(maxlen=STEPS_KEPT)
        self._warmed_up = False

    def after(self, step_s: float, beside_s: float = 0.0) -> float:
        """Seconds to rest after a step of `step_s` seconds and `beside_s` of evaluating and saving, at most
        `REST_S_MAX`. The first step of a run also loads and warms up, and says nothing: 0."""
        if not self._warmed_up:
            self._warmed_up = True
            return 0.0
        self._lengths.append(step_s)
        usual = statistics.median(self._lengths) if len(self._lengths) >= STEPS_FEW else min(self._lengths)
        return min(REST_S_MAX, (usual + beside_s) * (1.0 / self._duty - 1.0))
