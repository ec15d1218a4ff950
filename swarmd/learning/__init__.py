"""Learning from scored groups: advantages, losses, batching and the trainer. Tensors in, tensors out."""

from swarmd.learning.algorithms import policy_algorithm
from swarmd.learning.experience import Experience
from swarmd.learning.metrics import StepMetrics
from swarmd.learning.samplers import DrawContext, GroupSampler, ScoredSampler, UniformSampler, group_sampler
from swarmd.learning.trainer import Trainer

__all__ = [
    "DrawContext",
    "Experience",
    "GroupSampler",
    "ScoredSampler",
    "StepMetrics",
    "Trainer",
    "UniformSampler",
    "group_sampler",
    "policy_algorithm",
]
