"""Ways of scoring: rows in, differentiable log-probabilities out."""

from swarmd.policy.scoring.padded import PaddedScorer

__all__ = ["PaddedScorer"]
