"""Whether paired differences could be chance: a sign-flip permutation test, and Holm's correction for many.

Pure and repeatable.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from swarmd.experiment.reporting.intervals import RESAMPLES, RESAMPLING_SEED
from swarmd.experiment.reporting.results import Array

PAIRS_EXACT = 13  # 2**13 = 8,192 patterns of signs, about as many as are drawn where there are more pairs
TOLERANCE = 1e-9  # means of the same numbers summed in another order are the same mean


def sign_flip_p(differences: Array) -> float:
    """Two-sided p of a mean this far from 0, if every difference were as likely to have the other sign.

    `differences` [pairs], at least one. All patterns of signs up to PAIRS_EXACT pairs, so that p is never
    less than 2 / 2**pairs: five pairs cannot give less than 0.0625. Beyond, RESAMPLES random ones, with the
    one that was seen among them (Phipson and Smyth 2010). Fisher's randomisation test (1935).
    """
    pairs = len(differences)
    if pairs <= PAIRS_EXACT:
        flips = (np.arange(2**pairs)[:, None] >> np.arange(pairs)) & 1
    else:
        flips = np.random.default_rng(RESAMPLING_SEED).integers(0, 2, (RESAMPLES, pairs))
        flips[0] = 0
    means = np.abs((1 - 2 * flips) @ differences) / pairs
    seen = abs(float(differences.mean()))
    return float((means >= seen - TOLERANCE).mean())


def holm(p: Sequence[float]) -> list[float]:
    """`p` of a family of tests, corrected for their number (Holm 1979, step-down).

    To call significant what is under 0.05 is wrong about any of them in 5 % of cases at most.
    """
    corrected = [0.0] * len(p)
    least = 0.0
    for tested, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        least = max(least, min(1.0, (len(p) - tested) * p[place]))
        corrected[place] = least
    return corrected
