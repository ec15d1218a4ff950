"""Whether a run keeps what it gained: how high it rose, how far it ended below that, and how much it fell on
the way. Pure.

    peak    the highest point of the curve
    drop    from the peak to the end: what was lost, forgotten where the curve is held-out success
    falls   all falls of the curve together: 0 if it only rises, large if it oscillates

All three in units of the reward or success. The curves are means over nodes: own reward of each round,
smoothed (`smoothing`), and held-out success of each evaluation. A noisy curve has falls, and a peak that is
too high, without losing anything. So compare own reward only between configurations with as many rounds and
own groups; held-out success is of the same questions everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from swarmd.experiment.reporting.results import Array, RunResults
from swarmd.experiment.reporting.smoothing import smoothed

CURVES: Mapping[str, Callable[[RunResults], Array]] = {
    "own": lambda run: smoothed(run.reward_own.mean(axis=1)),
    "held_out": lambda run: run.held_out.success.mean(axis=1),
}
"""Of what stability is reported; each gives one value a round or evaluation."""

QUANTITIES: Mapping[str, Callable[[Array], float]] = {
    "peak": lambda curve: float(curve.max()),
    "drop": lambda curve: float(curve.max() - curve[-1]),
    "falls": lambda curve: float(-np.minimum(np.diff(curve), 0.0).sum()),
}
"""What is said of each curve."""
