"""Which generator decodes, from the operator's wish, and the sentence that says so."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from swarmd.config.slices import GeneratorName
from swarmd.errors import ConfigError
from swarmd.policy.backend import Generator
from swarmd.policy.generation.eager import EagerGenerator
from swarmd.policy.generation.own import own_generator
from swarmd.policy.generation.vllm import start_vllm_generator


@dataclass(frozen=True)
class GeneratorWish:
    """What was asked for, and what some generators must know before they start."""

    name: GeneratorName = "auto"
    temperature: float = 1.0
    memory_bytes: int | None = None
    """What this process may hold on its device; None: there is no limit."""


@dataclass(frozen=True)
class Choice:
    generator: Generator
    reason: str


def choose_generator(
    wish: GeneratorWish,
    model: PreTrainedModel | PeftModel,
    *,
    pad_id: int,
    eos_ids: frozenset[int],
    dtype: torch.dtype,
) -> Choice:
    """The generator that was asked for. Raises ConfigError if it cannot work here."""
    if wish.name == "vllm":
        vllm = start_vllm_generator(
            model,
            eos_ids=eos_ids,
            dtype=dtype,
            temperature=wish.temperature,
            memory_bytes=wish.memory_bytes,
        )
        return Choice(vllm, "vLLM generates because it was asked for")
    if wish.name == "eager":
        eager = EagerGenerator(model, pad_id=pad_id, eos_ids=eos_ids, dtype=dtype)
        return Choice(eager, "transformers' own forward generates because it was asked for")
    own, reason = own_generator(model, pad_id=pad_id, eos_ids=eos_ids, dtype=dtype)
    if wish.name == "own" and isinstance(own, EagerGenerator):
        raise ConfigError(f"generator own was asked for, but {reason}: use --generator auto")
    return Choice(own, reason)
