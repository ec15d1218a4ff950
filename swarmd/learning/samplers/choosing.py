"""From the configuration's word to the sampler."""

from __future__ import annotations

from swarmd.config import LearningConfig
from swarmd.learning.samplers.interface import GroupSampler
from swarmd.learning.samplers.scored import ScoredSampler
from swarmd.learning.samplers.uniform import UniformSampler


def group_sampler(config: LearningConfig) -> GroupSampler:
    """The sampler that `config.sampler` names."""
    match config.sampler:
        case "uniform":
            return UniformSampler()
        case "scored":
            return ScoredSampler()
