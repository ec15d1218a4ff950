"""Learning from scored groups: advantages, losses, batching, and the trainer. Tensors in, tensors out."""

from swarmd.learning.advantages import (
    centred_advantages,
    group_advantages,
)
from swarmd.learning.algorithms import (
    Algorithm,
    CompletionBatch,
    DrGrpo,
    Grpo,
    Gspo,
    Ppo,
    TokenLoss,
    Used,
    Values,
    policy_algorithm,
)
from swarmd.learning.experience import Experience
from swarmd.learning.external import (
    AsOwn,
    ExternalBatch,
    ExternalLoss,
    Imitate,
    Topr,
    TruncatedImportance,
    external_loss,
)
from swarmd.learning.losses import clipped_surrogate, k3_penalty
from swarmd.learning.metrics import StepMetrics
from swarmd.learning.samplers import (
    DrawContext,
    GroupSampler,
    ScoredSampler,
    UniformSampler,
    group_sampler,
)
from swarmd.learning.schedule import learning_rate_at
from swarmd.learning.trainer import Trainer

__all__ = [
    "Algorithm",
    "AsOwn",
    "CompletionBatch",
    "DrGrpo",
    "DrawContext",
    "Experience",
    "ExternalBatch",
    "ExternalLoss",
    "GroupSampler",
    "Grpo",
    "Gspo",
    "Imitate",
    "Ppo",
    "ScoredSampler",
    "StepMetrics",
    "TokenLoss",
    "Topr",
    "Trainer",
    "TruncatedImportance",
    "UniformSampler",
    "Used",
    "Values",
    "centred_advantages",
    "clipped_surrogate",
    "external_loss",
    "group_advantages",
    "group_sampler",
    "k3_penalty",
    "learning_rate_at",
    "policy_algorithm",
]
