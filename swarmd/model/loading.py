"""A model's weights and tokenizer, from files on this disk. Only safetensors are read, no model's code is
run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from swarmd.errors import ModelError
from swarmd.model.chat import TemplateArguments
from swarmd.model.locating import locate
from swarmd.model.smollm2 import load_smollm2
from swarmd.model.third_party import third_party
from swarmd.model.tokenizer import ChatTokenizer
from swarmd.model_names import SMOLLM2

PACKED = ("scale", "scale_inv", "scales", "zero_point", "qweight", "qzeros", "absmax", "g_idx")
"""How the names of what quantised weights need end."""
GENERIC_TOKENIZERS = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
AGAIN = "copy or download it again, or use another model"


def load_model(
    name: str, dtype: torch.dtype, template_args: TemplateArguments | None = None
) -> tuple[PreTrainedModel, ChatTokenizer]:
    """The model in main memory, weights in `dtype`, and its tokenizer, whose template gets `template_args`.

    Raises ModelError: unknown or unreachable model, damaged files, no tokenizer or one of another model.
    """
    if name == SMOLLM2:
        model, tokenizer = load_smollm2()
    else:
        path = locate(name)
        model, tokenizer = _load_weights(path, name, dtype), _load_tokenizer(path, name)
    with third_party(name, "reading its tokenizer and chat template", "use another model"):
        chat = ChatTokenizer(tokenizer, _generation_eos_ids(model), template_args)
    rows = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    if len(chat.hf) > rows:
        raise ModelError(
            f"the tokenizer of {name} has {len(chat.hf)} tokens and the model only {rows}: "
            "they do not belong together"
        )
    return model, chat


def _load_weights(path: Path, name: str, dtype: torch.dtype) -> PreTrainedModel:
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} holds no model: config.json is missing")
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{path} holds no *.safetensors: convert the model, other formats can run code when read"
        )
    with third_party(name, "loading its weights", AGAIN):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    model: PreTrainedModel = loaded[0]
    if loaded[1]["missing_keys"]:
        missing = sorted(loaded[1]["missing_keys"])
        raise ModelError(
            f"the model in {path} lacks {len(missing)} weights, {missing[0]} first: copy or download it again"
        )
    _require_understood(model, loaded[1]["unexpected_keys"], path)
    return model


def _require_understood(model: PreTrainedModel, unexpected: Iterable[str], path: Path) -> None:
    """Raises ModelError for weights that are packed in a way that nobody here unpacks.

    transformers only warns about a quantisation that it does not know, and takes packed numbers as they are.
    """
    if getattr(model, "is_quantized", False):
        return
    declared = getattr(model.config, "quantization_config", None)
    scales = sorted(name for name in unexpected if name.endswith(PACKED))
    packed = [name for name, weight in model.named_parameters() if not weight.is_floating_point()]
    if declared is not None or scales or packed:
        what = (
            f"it has {scales[0]}" if scales else f"{packed[0]} is packed" if packed else "its config says so"
        )
        raise ModelError(
            f"the model in {path} is quantised in a way that is not known here ({what}): use its original "
            "weights, or install the package that it needs"
        )


def _load_tokenizer(path: Path, name: str) -> PreTrainedTokenizerBase:
    if not any((path / file).is_file() for file in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelError(f"{path} holds no tokenizer: tokenizer.json is missing")
    with third_party(name, "loading its tokenizer", AGAIN):
        loader: Any = PreTrainedTokenizerFast if _is_self_contained(path) else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        return tokenizer


def _is_self_contained(path: Path) -> bool:
    """Whether tokenizer.json says everything.

    AutoTokenizer would still replace its splitting rule by Qwen2's when config.json says qwen2, and the model
    would read other tokens than it was trained on.
    """
    config = path / "tokenizer_config.json"
    declared = json.loads(config.read_text()).get("tokenizer_class") if config.is_file() else None
    return (path / "tokenizer.json").is_file() and declared in GENERIC_TOKENIZERS


def _generation_eos_ids(model: PreTrainedModel) -> list[int]:
    """What the model's own generation settings end on: chat models often have two such tokens."""
    config = model.generation_config
    eos = None if config is None else config.eos_token_id
    if eos is None:
        return []
    return [eos] if isinstance(eos, int) else list(eos)
