"""Which external groups a step trains on: one small interface, several answers."""

from swarmd.learning.samplers.choosing import group_sampler
from swarmd.learning.samplers.interface import DrawContext, GroupSampler
from swarmd.learning.samplers.scored import ScoredSampler
from swarmd.learning.samplers.uniform import UniformSampler

__all__ = ["DrawContext", "GroupSampler", "ScoredSampler", "UniformSampler", "group_sampler"]
