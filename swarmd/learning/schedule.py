"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from swarmd.config import LearningConfig

COSINE_FLOOR = 0.1  # of the peak: a daemon that runs beyond the end of the schedule should still learn


def learning_rate_at(step: int, config: LearningConfig, *, studies: int | None = None) -> float:
    """Rate of step `step` (from 0): linear warm-up, then constant or a cosine down to a tenth at the end.

    With `study`, the cosine of the policy gradient ends at study_from. A step that studies has a peak and a
    cosine of its own, from study_from to total_steps, and a warm-up over the first steps that study: those
    may come later, if there were too few lessons. `studies`: how many steps have studied before this one,
    which does; None if it takes a policy gradient.
    """
    begin, end = (config.study_from if config.study else 0), config.total_steps or 0
    if studies is not None:
        warm_up = config.study_rate * (studies + 1) / (config.warmup_steps + 1)
        return min(warm_up, _rate(config.study_rate, step - begin, end - begin, config))
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
