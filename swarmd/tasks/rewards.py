"""Converts a scorer's return value to a reward in [0, 1]. Pure."""

from __future__ import annotations

import math
import numbers
from typing import Literal

from protocol.limits import MICRO

RewardRule = Literal["exact", "partial"]
EXACT_FROM_MICRO = 990_000  # scorers that divide floats return a bit less than 1 for a right answer


def score_micro(score: object) -> int:
    """A scorer's return value in millionths, clamped to [0, 1]. Anything but a finite number scores 0.

    reasoning-gym returns up to 1e67 for a forged answer to calendar_arithmetic, and NaN for some ratios.
    """
    if not isinstance(score, numbers.Real):
        return 0
    if isinstance(score, int):
        return min(max(score, 0), 1) * MICRO
    value = float(score)
    return round(min(max(value, 0.0), 1.0) * MICRO) if math.isfinite(value) else 0


def reward_of(micro: int, rule: RewardRule) -> float:
    """The reward for a score reported by the sandbox: all or nothing, or the score itself.

    Always in [0, 1], because text that a scorer evaluates may report any integer in the scorer's name.
    """
    if rule == "exact":
        return 1.0 if micro >= EXACT_FROM_MICRO else 0.0
    return min(max(micro, 0), MICRO) / MICRO
