"""A model's files: locates them, loads them, and converts between text and tokens. Any causal LM, or a clear
error.

Nothing is generated or trained here, and no code that comes with a model is ever run.
"""

import swarmd.model.spared  # noqa: F401  before what imports transformers
from swarmd.model.base import Base
from swarmd.model.download import Downloaded, Watch
from swarmd.model.fingerprint import model_fingerprint
from swarmd.model.loading import load_model
from swarmd.model.locating import TO_PLAN, Located, absolute_name, locate, read_configuration
from swarmd.model.sizing import on_meta, shape_of
from swarmd.model.tokenizer import ChatTokenizer

__all__ = [
    "TO_PLAN",
    "Base",
    "ChatTokenizer",
    "Downloaded",
    "Located",
    "Watch",
    "absolute_name",
    "load_model",
    "locate",
    "model_fingerprint",
    "on_meta",
    "read_configuration",
    "shape_of",
]
