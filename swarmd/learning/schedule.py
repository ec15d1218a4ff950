"""The learning rate as a function of the step."""

from __future__ import annotations

import math

from swarmd.config import LearningConfig

COSINE_FLOOR = 0.1  # of the peak: a daemon that runs beyond the end of the schedule should still learn


def learning_rate_at(step: int, config: LearningConfig) -> float:
    """Rate of step `step` (from 0): linear warm-up, then constant or a cosine down to a tenth at
    total_steps."""
    peak = config.learning_rate
    if step < config.warmup_steps:
        return peak * (step + 1) / (config.warmup_steps + 1)
    if config.schedule == "constant" or config.total_steps is None:
        return peak
    length = max(1, config.total_steps - config.warmup_steps)
    progress = min(1.0, (step - config.warmup_steps) / length)
    return peak * (COSINE_FLOOR + (1 - COSINE_FLOOR) * (1 + math.cos(math.pi * progress)) / 2)
