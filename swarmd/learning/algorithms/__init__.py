"""How scored groups become a gradient: one small interface, several published answers."""

from swarmd.learning.algorithms.choosing import policy_algorithm
from swarmd.learning.algorithms.dr_grpo import DrGrpo
from swarmd.learning.algorithms.grpo import Grpo
from swarmd.learning.algorithms.gspo import Gspo
from swarmd.learning.algorithms.interface import Algorithm, CompletionBatch, TokenLoss, Used, Values
from swarmd.learning.algorithms.ppo import Ppo

__all__ = [
    "Algorithm",
    "CompletionBatch",
    "DrGrpo",
    "Grpo",
    "Gspo",
    "Ppo",
    "TokenLoss",
    "Used",
    "Values",
    "policy_algorithm",
]
