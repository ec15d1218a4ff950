"""Loads a model's weights and tokenizer from files on this disk. Reads only safetensors, and runs no model's
code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from swarmd.errors import ModelError
from swarmd.model.adapter_start import AdapterStart
from swarmd.model.building import built
from swarmd.model.locating import Located
from swarmd.model.sight import model_class, read_sight
from swarmd.model.smollm2 import load_smollm2
from swarmd.model.template_arguments import TemplateArguments
from swarmd.model.third_party import third_party
from swarmd.model.tokenizer import ChatTokenizer
from swarmd.model.understood import require_understood

GENERIC_TOKENIZERS = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
TEMPLATE = "chat_template.json"
AGAIN = "copy or download it again, or use another model"


def load_model(
    located: Located,
    dtype: torch.dtype,
    template_args: TemplateArguments | None = None,
    *,
    sees: bool = True,
) -> tuple[PreTrainedModel, ChatTokenizer]:
    """The model in main memory, with weights in `dtype`, and its tokenizer, whose template gets
    `template_args`.

    Without `sees`, a text model that can also see is loaded without sight, and its tower is not run. The
    adapter is not loaded. But a tokenizer saved with the adapter is used, because it is the one used in
    training. Raises ModelError for damaged files, and for a missing or unrelated tokenizer.
    """
    name = located.base
    if located.folder is None:
        model, tokenizer = load_smollm2()
    else:
        model = _load_weights(located.folder, name, dtype)
        tokenizer = load_tokenizer(_tokenizer_folder(located.folder, located.adapter), name)
    with third_party(name, "reading its tokenizer and chat template", "use another model"):
        sight = None if located.folder is None else read_sight(model, tokenizer, located.folder, sees=sees)
        chat = ChatTokenizer(tokenizer, _generation_eos_ids(model), template_args, sight)
    rows = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    if len(chat.hf) > rows:
        raise ModelError(
            f"the tokenizer of {chat.hf.name_or_path} has {len(chat.hf)} tokens and the model {name} only "
            f"{rows}: they do not belong together"
        )
    return model, chat


def _load_weights(path: Path, name: str, dtype: torch.dtype) -> PreTrainedModel:
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} contains no model: config.json is missing")
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{path} contains no *.safetensors: convert the model, other formats can run code when read"
        )
    with third_party(name, "loading its weights", AGAIN):
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        loaded: Any = built(
            lambda: model_class(config).from_pretrained(
                path,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
        )
    model: PreTrainedModel = loaded[0]
    if loaded[1]["missing_keys"]:
        missing = sorted(loaded[1]["missing_keys"])
        raise ModelError(
            f"the model in {path} lacks {len(missing)} weights, such as {missing[0]}: copy or download it "
            "again"
        )
    with third_party(name, "reading the types of its weights", AGAIN):
        require_understood(model, loaded[1]["unexpected_keys"], path)
    return model


def load_tokenizer(path: Path, name: str) -> PreTrainedTokenizerBase:
    """The tokenizer in the directory `path`, for the model `name`. Raises ModelError."""
    with third_party(name, "loading its tokenizer", AGAIN):
        loader: Any = PreTrainedTokenizerFast if _is_self_contained(path) else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        if tokenizer.chat_template is None:
            tokenizer.chat_template = _template_beside(path)
        return tokenizer


def _template_beside(path: Path) -> str | None:
    """The chat template of a vision model whose processor, not its tokenizer, brings it; None without."""
    try:
        found = json.loads((path / TEMPLATE).read_text(encoding="utf-8"))["chat_template"]
    except FileNotFoundError:
        return None
    return str(found)


def _tokenizer_folder(base: Path, adapter: AdapterStart | None) -> Path:
    """The adapter's folder if it has a tokenizer, because training may have changed the chat template;
    otherwise the base's. Raises ModelError."""
    for folder in [base] if adapter is None else [adapter.folder, base]:
        if any((folder / file).is_file() for file in TOKENIZERS):
            return folder
    raise ModelError(f"{base} contains no tokenizer: tokenizer.json is missing")


def _is_self_contained(path: Path) -> bool:
    """Whether tokenizer.json alone defines the tokenizer.

    In that case, AutoTokenizer must not be used: if config.json says qwen2, it would replace the splitting
    rule with Qwen2's, and the model would get other tokens than in training.
    """
    config = path / "tokenizer_config.json"
    declared = json.loads(config.read_text()).get("tokenizer_class") if config.is_file() else None
    return (path / "tokenizer.json").is_file() and declared in GENERIC_TOKENIZERS


def _generation_eos_ids(model: PreTrainedModel) -> list[int]:
    """The end tokens in the model's own generation settings. Chat models often have two."""
    config = model.generation_config
    eos = None if config is None else config.eos_token_id
    if eos is None:
        return []
    return [eos] if isinstance(eos, int) else list(eos)
