"""What decoding holds beside the model, by the generator that decodes. Pure arithmetic."""

from __future__ import annotations

import torch

from swarmd.policy.arrangement import FLOAT32, Arrangement, Workload
from swarmd.policy.generation.forward import PREFILL_TOKENS_MAX
from swarmd.policy.generation.products import LARGE_NUMEL_MIN, is_laid_out
from swarmd.policy.shape import ModelShape

SAMPLING_COPIES = 5  # of a row's float32 logits while a token is drawn
ADAPTER_COPIES = 2  # factors in the working dtype; B of fused layers is block-diagonal, zeros and all
PREFILL_COPIES = 2  # of what a layer's linear layers put out for a prompt's tokens: that, and what follows


def decoding_bytes(shape: ModelShape, way: Arrangement, work: Workload) -> dict[str, int]:
    """What is held at the peak of decoding: name -> bytes."""
    tokens = way.budgets.decode_tokens
    rows = max(1, tokens // work.row_tokens)
    return {
        "working copy": _working_copy(shape, way),
        "cache": _cache(shape, way),
        "logits": SAMPLING_COPIES * FLOAT32 * rows * shape.vocabulary,
        "prompts": _prompts(shape, way, work, rows),
    }


def _generator(shape: ModelShape, way: Arrangement) -> str:
    """What decodes: where nothing was asked for, our own where it knows the model."""
    if way.generator == "auto":
        return "own" if shape.is_known else "eager"
    return way.generator


def _working_copy(shape: ModelShape, way: Arrangement) -> int:
    """Weights that exist once more, in the way they are multiplied with."""
    generator = _generator(shape, way)
    if generator == "vllm":
        return way.itemsize * shape.parameters
    every, adapters = shape.linear_parameters + shape.head_parameters, 0
    multiplied = every if way.is_cast else 0  # by autocast too: kept while a batch is decoded
    if generator == "own":
        dtype = getattr(torch, way.dtype)
        if is_laid_out(way.device, dtype, LARGE_NUMEL_MIN):
            multiplied = every
        elif is_laid_out(way.device, dtype, 1):
            multiplied = max(multiplied, shape.small_parameters)
        if way.lora_rank is not None:
            adapters = ADAPTER_COPIES * shape.adapter_parameters(way.lora_rank)
    return way.itemsize * (multiplied + adapters)


def _cache(shape: ModelShape, way: Arrangement) -> int:
    """Keys and values, and what a generator makes of them."""
    tokens = way.budgets.decode_tokens
    layer = way.itemsize * shape.cache_width
    generator = _generator(shape, way)
    if generator == "eager":  # a layer's grows by being copied, then is repeated for the heads that share it
        return tokens * (layer * (shape.layers + 1) + 2 * way.itemsize * shape.attention_width)
    return tokens * layer * shape.layers


def _prompts(shape: ModelShape, way: Arrangement, work: Workload, rows: int) -> int:
    """Activations while prompts run, a layer's at a time."""
    together = -(-rows // work.group_size) * work.prompt_tokens
    if _generator(shape, way) != "eager":
        together = min(together, max(PREFILL_TOKENS_MAX, work.prompt_tokens))
    return PREFILL_COPIES * way.itemsize * together * shape.linear_outputs // shape.layers
