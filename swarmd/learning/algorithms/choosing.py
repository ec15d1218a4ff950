"""From the configuration's word to the algorithm."""

from __future__ import annotations

from swarmd.config import LearningConfig
from swarmd.learning.algorithms.dr_grpo import DrGrpo
from swarmd.learning.algorithms.grpo import Grpo
from swarmd.learning.algorithms.gspo import Gspo
from swarmd.learning.algorithms.interface import Algorithm
from swarmd.learning.algorithms.ppo import Ppo


def policy_algorithm(config: LearningConfig, length_max: int) -> Algorithm:
    """The algorithm that `config.algorithm` names; `length_max`: tokens of the longest completion allowed."""
    match config.algorithm:
        case "grpo":
            return Grpo(config.clip_low, config.clip_high)
        case "dr_grpo":
            return DrGrpo(config.clip_low, config.clip_high, length_max)
        case "gspo":
            return Gspo(config.gspo_clip_low, config.gspo_clip_high)
        case "ppo":
            return Ppo(
                config.clip_low,
                config.clip_high,
                value_clip=config.value_clip,
                gamma=config.gae_gamma,
                gae_lambda=config.gae_lambda,
            )
