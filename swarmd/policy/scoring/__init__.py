"""Ways of scoring: rows in, differentiable log-probabilities out."""

from swarmd.policy.scoring.choosing import ScorerChoice, choose_scorer
from swarmd.policy.scoring.distinct import DistinctScorer
from swarmd.policy.scoring.packed import PackedScorer
from swarmd.policy.scoring.padded import PaddedScorer

__all__ = ["DistinctScorer", "PackedScorer", "PaddedScorer", "ScorerChoice", "choose_scorer"]
