"""Learning from scored groups: advantages, losses, batching and the trainer. Tensors in, tensors out."""

from swarmd.learning.algorithms import policy_algorithm
from swarmd.learning.experience import Experience
from swarmd.learning.metrics import StepMetrics
from swarmd.learning.rehearsal import Rehearsal
from swarmd.learning.samplers import (
    DrawContext,
    GroupSampler,
    NeedSampler,
    ScoredSampler,
    UniformSampler,
    group_sampler,
)
from swarmd.learning.study import Study
from swarmd.learning.trainer import Trainer

__all__ = [
    "DrawContext",
    "Experience",
    "GroupSampler",
    "NeedSampler",
    "Rehearsal",
    "ScoredSampler",
    "StepMetrics",
    "Study",
    "Trainer",
    "UniformSampler",
    "group_sampler",
    "policy_algorithm",
]
