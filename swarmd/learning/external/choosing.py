"""From the configuration's word to the loss."""

from __future__ import annotations

from swarmd.config import LearningConfig
from swarmd.learning.algorithms import Algorithm
from swarmd.learning.external.as_own import AsOwn
from swarmd.learning.external.batch import ExternalLoss
from swarmd.learning.external.imitate import Imitate
from swarmd.learning.external.tis import TruncatedImportance
from swarmd.learning.external.topr import Topr


def external_loss(config: LearningConfig, algorithm: Algorithm) -> ExternalLoss:
    """The loss that `config.external_loss` names; `algorithm` is that of own completions."""
    match config.external_loss:
        case "as_own":
            return AsOwn(algorithm)
        case "topr":
            return Topr()
        case "tis":
            return TruncatedImportance()
        case "imitate":
            return Imitate()
