"""From a model's name to a policy: the embedded model, a local directory, a hub id, or an optional package.

Only safetensors are read and no code that comes with a model is ever run.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.policy.budgets import BudgetKeeper, Budgets
from swarmd.policy.generation.choosing import GeneratorWish
from swarmd.policy.guard import MemoryGuard, set_accelerator_limit
from swarmd.policy.locating import locate
from swarmd.policy.plan import HardwarePlan, LoraPlan
from swarmd.policy.policy import Policy
from swarmd.policy.shortage import out_of_memory_as_model_error
from swarmd.policy.smollm2 import SMOLLM2, load_smollm2
from swarmd.policy.tokenizer import ChatTokenizer

GENERIC_TOKENIZERS = frozenset({"TokenizersBackend", "PreTrainedTokenizerFast"})
LORA_SEED = 0  # adapters start the same on every peer; B starts at zero, so this changes no output
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)
"""What transformers raises for files that are missing, damaged or of an architecture it does not know."""


def load_policy(
    config: PolicyConfig,
    plan: HardwarePlan,
    *,
    max_new_tokens: int,
    remember: Callable[[Budgets], None] = lambda _: None,
) -> Policy:
    """Load the planned model onto its device. `max_new_tokens` is the swarm's limit; config may lower it.

    `remember` receives the budgets whenever a lack of memory made them smaller. From now on the process keeps
    to the plan's memory limit. Sets the process's PyTorch threads and silences transformers' progress bars.
    Raises ModelError: unknown or unreachable model, damaged files, no tokenizer, layers that cannot be
    decoded, too little memory.
    """
    torch.set_num_threads(plan.threads)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # stderr belongs to the daemon's own log
    dtype: torch.dtype = getattr(torch, plan.dtype)
    if plan.model == SMOLLM2:
        model, hf_tokenizer = load_smollm2()
    else:
        # A base that is frozen needs no float32, not for the moment of loading either.
        stored = torch.float32 if plan.lora is None else dtype
        model, hf_tokenizer = _load_directory(locate(plan.model), stored)
    tokenizer = ChatTokenizer(hf_tokenizer, _generation_eos_ids(model))
    _check_decodable(model, tokenizer, plan.model)
    remedy = "--lora r=16, " if plan.lora is None else ""
    with out_of_memory_as_model_error(f"{remedy}another --device, a higher --memory-limit"):
        guard = _limit(plan)
        return Policy(
            _place(model, plan.lora, dtype, plan.device),
            tokenizer,
            max_new_tokens=min(config.max_new_tokens or max_new_tokens, max_new_tokens),
            temperature=config.temperature,
            dtype=dtype,
            budgets=BudgetKeeper(plan.budgets, remedy=remedy, remember=remember),
            guard=guard,
            generator=GeneratorWish(config.generator, config.temperature, plan.memory_limit_bytes),
        )


def _limit(plan: HardwarePlan) -> MemoryGuard | None:
    """Make the limit hold: by the accelerator's allocator, or by a guard on the CPU."""
    if plan.memory_limit_bytes is None:
        return None
    if plan.device == "cpu":
        return MemoryGuard(plan.memory_limit_bytes)
    set_accelerator_limit(torch.device(plan.device), plan.memory_limit_bytes)
    return None


def _load_directory(path: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Weights in `dtype` and the tokenizer, from files on this disk alone."""
    if not (path / "config.json").is_file():
        raise ModelError(f"{path} holds no model: config.json is missing")
    if not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{path} holds no *.safetensors: convert the model, other formats can run code when read"
        )
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            path,
            dtype=dtype,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except UNREADABLE as error:
        raise ModelError(f"the model in {path} cannot be loaded: {error}") from error
    model, report = loaded
    if report["missing_keys"]:
        missing = sorted(report["missing_keys"])
        raise ModelError(
            f"the model in {path} lacks {len(missing)} weights, {missing[0]} first: copy or download it again"
        )
    return model, _load_tokenizer(path)


def _load_tokenizer(path: Path) -> PreTrainedTokenizerBase:
    if not any((path / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise ModelError(f"{path} holds no tokenizer: tokenizer.json is missing")
    try:
        loader: Any = PreTrainedTokenizerFast if _is_self_contained(path) else AutoTokenizer
        tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
    except (*UNREADABLE, ImportError) as error:
        raise ModelError(f"the tokenizer in {path} cannot be loaded: {error}") from error
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


def _check_decodable(model: PreTrainedModel, tokenizer: ChatTokenizer, name: str) -> None:
    rows = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    if len(tokenizer.hf) > rows:
        raise ModelError(
            f"the tokenizer of {name} has {len(tokenizer.hf)} tokens and the model only {rows}: "
            "they do not belong together"
        )
    layers = DynamicCache(config=model.config).layers
    if not all(hasattr(layer, "batch_repeat_interleave") for layer in layers):
        raise ModelError(
            f"{name} ({model.config.model_type}) has layers without a key-value cache: not supported, "
            "use a model with attention in every layer"
        )


def _place(
    model: PreTrainedModel, lora: LoraPlan | None, dtype: torch.dtype, device: str
) -> PreTrainedModel | PeftModel:
    """On the device, adapters added. What is trained is float32; a frozen base takes the plan's dtype."""
    if lora is None:
        return cast(Any, model).to(device)
    base = cast(Any, model).to(device, dtype)
    with torch.random.fork_rng(), warnings.catch_warnings():
        # peft asks transformers by a name that is being renamed: nothing the operator can mend.
        warnings.simplefilter("ignore", FutureWarning)
        torch.manual_seed(LORA_SEED)
        adapted = get_peft_model(
            base,
            LoraConfig(
                task_type=TaskType.CAUSAL_LM,
                r=lora.rank,
                lora_alpha=lora.alpha,
                lora_dropout=0.0,
                target_modules="all-linear",
            ),
            autocast_adapter_dtype=True,
        )
    return cast(PeftModel, adapted)
