"""How tokens that another policy wrote are weighted: one small interface, several answers."""

from swarmd.learning.external.as_own import AsOwn
from swarmd.learning.external.batch import ExternalBatch, ExternalLoss
from swarmd.learning.external.choosing import external_loss
from swarmd.learning.external.imitate import Imitate
from swarmd.learning.external.tis import TruncatedImportance
from swarmd.learning.external.topr import Topr

__all__ = [
    "AsOwn",
    "ExternalBatch",
    "ExternalLoss",
    "Imitate",
    "Topr",
    "TruncatedImportance",
    "external_loss",
]
