"""Calibrates a judge's probabilities on answers of known truth. Pure.

Uses Platt scaling (Platt 1999), a logistic curve over the judge's log-odds. It is fitted on one half of the
answers, and agreement is measured on the other half.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.judges.opinions import RIGHT_FROM

_ODDS_MAX = 20.0  # log-odds; being surer than this carries no more information
_NEWTON_STEPS = 25  # it converges in fewer than ten
_RIDGE = 0.05  # keeps the curve finite if right and wrong answers are perfectly separated
ANSWERS_MIN = 8  # of each kind; with fewer, a fit is noise


@dataclass(frozen=True)
class Calibration:
    """p -> 1 / (1 + exp(-(slope * log-odds of p + shift))), and the measured agreement."""

    slope: float = 1.0
    shift: float = 0.0
    agreement: float | None = None
    """Share of answers judged correctly, averaged over right and wrong ones; chance is one half. None: not
    measured."""
    answers: int = 0
    """Number of answers it was measured on."""

    def of(self, probability: float) -> float:
        """The calibrated probability."""
        return _logistic(self.slope * _odds(probability) + self.shift)


def calibrated(probabilities: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The calibration of a judge that gave `probabilities` to answers that are `right` or not.

    With fewer than `ANSWERS_MIN` of either kind, nothing is fitted or measured. A judge that prefers wrong
    answers gets slope 0: it is ignored rather than inverted.
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
    """Slope and shift of the most likely curve, with both kinds weighted equally, by Newton's method."""
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
