"""What a judge's probability is worth: fitted and measured on answers of which the truth is known. Pure.

Platt scaling (Platt 1999): a logistic curve over the judge's log-odds. It is fitted on one half of the
answers, and the agreement is measured on the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.judges.opinions import RIGHT_FROM

_ODDS_MAX = 20.0  # log-odds: a judge that is surer than this says nothing more
_NEWTON_STEPS = 25  # it converges in fewer than ten
_RIDGE = 0.05  # keeps the curve finite where right and wrong answers are separated altogether
ANSWERS_MIN = 8  # of each kind; with fewer a fit is noise


@dataclass(frozen=True)
class Calibration:
    """p -> 1 / (1 + exp(-(slope * log-odds of p + shift))), and how often that is right."""

    slope: float = 1.0
    shift: float = 0.0
    agreement: float | None = None
    """Share of answers judged rightly, the mean over right and over wrong ones. Half is chance. None: not
    measured."""
    answers: int = 0
    """That it was measured on."""

    def of(self, probability: float) -> float:
        """The calibrated probability."""
        return _logistic(self.slope * _odds(probability) + self.shift)


def calibrated(probabilities: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The calibration of a judge that gave `probabilities` to answers that are `right` or not.

    With fewer than `ANSWERS_MIN` of either kind nothing is fitted or measured. A judge that prefers wrong
    answers gets the slope 0: it is not believed the other way round.
    """
    if min(sum(right), len(right) - sum(right)) < ANSWERS_MIN:
        return Calibration()
    slope, shift = _fit([_odds(p) for p in probabilities[::2]], right[::2])
    fitted = Calibration(slope, shift)
    said = [fitted.of(p) >= RIGHT_FROM for p in probabilities[1::2]]
    return Calibration(slope, shift, _balanced(said, right[1::2]), len(said))


def _balanced(said: Sequence[bool], right: Sequence[bool]) -> float | None:
    shares = []
    for kind in (True, False):
        of_kind = [s == kind for s, r in zip(said, right, strict=True) if r == kind]
        if not of_kind:
            return None
        shares.append(sum(of_kind) / len(of_kind))
    return sum(shares) / 2


def _fit(odds: Sequence[float], right: Sequence[bool]) -> tuple[float, float]:
    """Slope and shift of the likeliest curve, right and wrong answers weighted alike, by Newton's method."""
    counts = {True: max(1, sum(right)), False: max(1, len(right) - sum(right))}
    weights = [0.5 / counts[bool(r)] for r in right]
    slope, shift = 0.0, 0.0
    for _ in range(_NEWTON_STEPS):
        gs, gb, hss, hsb, hbb = _RIDGE * slope / 100, 0.0, _RIDGE / 100, 0.0, 1e-9
        for x, r, w in zip(odds, right, weights, strict=True):
            p = _logistic(slope * x + shift)
            error, curve = w * (p - r), w * max(p * (1 - p), 1e-6)
            gs, gb = gs + error * x, gb + error
            hss, hsb, hbb = hss + curve * x * x, hsb + curve * x, hbb + curve
        determinant = hss * hbb - hsb * hsb
        if determinant <= 0:
            break
        slope -= (hbb * gs - hsb * gb) / determinant
        shift -= (hss * gb - hsb * gs) / determinant
    if not (math.isfinite(slope) and math.isfinite(shift)):
        return 1.0, 0.0
    return (slope, shift) if slope > 0 else (0.0, 0.0)


def _odds(probability: float) -> float:
    inside = min(max(probability, 1e-12), 1 - 1e-12)
    return min(max(math.log(inside / (1 - inside)), -_ODDS_MAX), _ODDS_MAX)


def _logistic(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds >= 0 else math.exp(odds) / (1 + math.exp(odds))
