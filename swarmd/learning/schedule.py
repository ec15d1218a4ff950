"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from swarmd.config import LearningConfig

COSINE_FLOOR = 0.1  # of the peak: a daemon that runs beyond the end of the schedule should still learn


def learning_rate_at(step: int, config: LearningConfig, *, studies: bool = False) -> float:
    """Rate of step `step` (from 0): linear warm-up, then constant or a cosine down to a tenth at the end.

    With `study`, the cosine of the policy gradient ends at study_from. A step that `studies` has a peak, a
    warm-up and a cosine of its own, from study_from to total_steps.
    """
    begin, end = (config.study_from if config.study else 0), config.total_steps or 0
    if studies:
        return _rate(config.study_rate, step - begin, end - begin, config)
    return _rate(config.learning_rate, step, begin or end, config)


def _rate(peak: float, step: int, steps: int, config: LearningConfig) -> float:
    """Rate of step `step` of `steps`."""
    if step < config.warmup_steps:
        return peak * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant":
        return peak
    length = max(1, steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / length)
    return peak * (COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * progress)) / 2)
