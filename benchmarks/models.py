"""The models as directories that every trainer can load: weights, configuration, tokenizer.

The weights are written once, into a cache. A model's variants for fixed and natural lengths share them and
differ in the end token.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, Qwen2Config, Qwen2ForCausalLM
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from benchmarks.cases import EMBEDDED, QWEN, SMOLLM2, Lengths
from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.config import PolicyConfig
from swarmd.hardware.plan import plan_hardware
from swarmd.hardware.probe import probe_hardware
from swarmd.model.smollm2 import load_smollm2
from swarmd.policy import load_policy

RANDOM_SEED = 0
MADE_UP_END_SHARE = 24  # with random weights, one token in 24 ends a completion: 18 of 32 tokens on average
APART = 8.0
"""Value of one dimension of every token's embedding but one's, which has the opposite. Every hidden state has
it too, so the logits of that one token are some 60 nats below all others.
"""
NEVER_WRITTEN = {EMBEDDED: "<|pad|>", SMOLLM2: "<repo_name>", QWEN: "<|pad|>"}
"""A token that the model does not write. For fixed lengths, the end token gets its id."""

QWEN_CONFIG: dict[str, Any] = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4_864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4_096,
    "tie_word_embeddings": True,
    "bos_token_id": None,
}


def prepare_model(model: str, lengths: Lengths, cache: Path) -> Path:
    """Return the model's directory in `cache`. Its weights are written if missing, everything else always.

    Raises ModelError if the model is not installed.
    """
    base = cache / model
    if not (base / "config.json").is_file():
        _write_whole(base, _WRITERS[model])
    directory = cache / f"{model}-{lengths}"
    _write_whole(directory, lambda part: _write_variant(part, base, model, lengths))
    return directory


def _write_whole(directory: Path, write: Callable[[Path], None]) -> None:
    """Fill a directory next to the target, then rename it, so that a target that exists is complete."""
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write(part)
    shutil.rmtree(directory, ignore_errors=True)
    part.rename(directory)


def _write_embedded(directory: Path) -> None:
    """Write it in float32, so that every trainer maps the same file. The asset itself is in float16."""
    config = PolicyConfig(model=str(EMBEDDED_MODEL_DIR), device="cpu", dtype="float32")
    policy = load_policy(config, plan_hardware(config, probe=probe_hardware()), max_new_tokens=1)
    _save(policy.model, policy.tokenizer.hf, directory)


def _write_smollm2(directory: Path) -> None:
    model, tokenizer = load_smollm2()
    _save(model, tokenizer, directory)


def _write_qwen(directory: Path) -> None:
    """Write random weights: time and memory do not depend on what a model knows."""
    tokenizer = _embedded_tokenizer()
    torch.manual_seed(RANDOM_SEED)
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model = Qwen2ForCausalLM(Qwen2Config(**QWEN_CONFIG, **ids))
    with torch.no_grad():  # otherwise one token in 152,000 would be the one that is never written
        table = model.model.embed_tokens.weight
        table[:, 0] = APART
        table[tokenizer.convert_tokens_to_ids(NEVER_WRITTEN[QWEN]), 0] = -APART
    _save(model, tokenizer, directory)


_WRITERS: dict[str, Callable[[Path], None]] = {
    EMBEDDED: _write_embedded,
    SMOLLM2: _write_smollm2,
    QWEN: _write_qwen,
}


def _embedded_tokenizer() -> PreTrainedTokenizerBase:
    config = PolicyConfig(model=str(EMBEDDED_MODEL_DIR), device="cpu", dtype="float32")
    tokenizer: PreTrainedTokenizerBase = load_policy(
        config, plan_hardware(config, probe=probe_hardware()), max_new_tokens=1
    ).tokenizer.hf
    return tokenizer


def _save(model: PreTrainedModel | Any, tokenizer: PreTrainedTokenizerBase, directory: Path) -> None:
    model.float().save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _write_variant(directory: Path, base: Path, model: str, lengths: Lengths) -> None:
    for file in base.iterdir():
        if file.suffix == ".safetensors":
            os.link(file, directory / file.name)
        else:
            shutil.copy(file, directory)
    if lengths == "fixed":
        _set_end(directory, NEVER_WRITTEN[model])
    elif model == QWEN:
        vocabulary = QWEN_CONFIG["vocab_size"]
        ends = range(vocabulary - vocabulary // MADE_UP_END_SHARE, vocabulary)
        _edit(directory / "generation_config.json", {"eos_token_id": list(ends)})


def _set_end(directory: Path, token: str) -> None:
    """Swap the ids of the end token and `token`, and use it as padding too.

    The chat template writes the end token's name after an answer, and our policy stops there whatever the
    settings say. So the name stays, and the model never writes its new id.
    """
    end = json.loads((directory / "tokenizer_config.json").read_text())["eos_token"]
    end_id = _swap(directory / "tokenizer.json", end, token)
    _edit(directory / "tokenizer_config.json", {"pad_token": end})
    for name in ("config.json", "generation_config.json"):
        _edit(directory / name, {"eos_token_id": end_id, "pad_token_id": end_id})


def _swap(path: Path, one: str, other: str) -> int:
    """Swap the ids of two tokens in a tokenizer.json. Returns the new id of `one`."""
    tokenizer = json.loads(path.read_text())
    vocabulary, added = tokenizer["model"]["vocab"], tokenizer["added_tokens"]
    ids = {**vocabulary, **{entry["content"]: entry["id"] for entry in added}}
    swapped: dict[str, int] = {one: ids[other], other: ids[one]}
    vocabulary.update(swapped)
    for entry in added:
        entry["id"] = swapped.get(entry["content"], entry["id"])
    added.sort(key=lambda entry: entry["id"])
    path.write_text(json.dumps(tokenizer))
    return swapped[one]


def _edit(path: Path, changes: dict[str, Any]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}, indent=1))
