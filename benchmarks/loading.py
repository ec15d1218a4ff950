"""The tokenizer as swarmd uses it, for trainers that need a Hugging Face one."""

from __future__ import annotations

from pathlib import Path

from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase


def load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    """Load it from a directory that `models` wrote. It pads on the left."""
    tokenizer: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(path)
    tokenizer.padding_side = "left"
    return tokenizer
