"""Estimates the memory that this room's engines need in addition to the model. Pure, by the kernels' own
rules.

The constants were fitted to measured peaks (`python -m benchmarks.prediction` repeats the comparison).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from swarmd.hardware.arrangement import FLOAT32, Arrangement, Workload
from swarmd.hardware.shape import ModelShape
from swarmd.llama.forward import PREFILL_TOKENS_MAX
from swarmd.llama.native import why_not_native
from swarmd.llama.products import LARGE_NUMEL_MIN, is_laid_out, linear_numel
from swarmd.llama.reading import Decoder
from swarmd.logprobs.memory import beside_gradients, cast_bytes, keys_per_token, over_layers, packed_memory
from swarmd.rollout.memory import cache_bytes, prompt_bytes, sampling_bytes

NATIVE_PROMPT_TOKENS = 128  # CHUNK_TOKENS of `native.cpp`
NATIVE_LOGIT_ROWS = 64  # LOGIT_ROWS of `native.cpp`
ADAPTER_COPIES = 2  # factors in the working dtype; B of fused layers is block-diagonal, including its zeros


@dataclass(frozen=True)
class DecodingMemory:
    """The memory used by `NativeEngine`, or else `LlamaEngine`, for one model."""

    small_parameters: int
    """Parameters of linear layers that `LlamaEngine` copies on a CPU, whatever the dtype."""
    native: bool
    """Whether `NativeEngine` decodes in float32 on a CPU."""

    @classmethod
    def of(cls, decoder: Decoder, *, native: bool) -> DecodingMemory:
        """The estimate for this model, which may be on the meta device."""
        sizes = [sum(linear_numel(m) for m in linears) for linears in decoder.by_input()]
        native = native and why_not_native(decoder, "cpu", torch.float32) is None
        return cls(sum(size for size in sizes if size < LARGE_NUMEL_MIN), native)

    def __call__(self, shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
        if self.native and (arrangement.device, arrangement.dtype) == ("cpu", "float32"):
            return native_memory(shape, arrangement, work)
        return {
            "working copy": self._working_copy(shape, arrangement),
            "cache": cache_bytes(shape, arrangement),
            "logits": sampling_bytes(shape, arrangement, work),
            "prompts": prompt_bytes(shape, arrangement, work, PREFILL_TOKENS_MAX),
        }

    def _working_copy(self, shape: ModelShape, arrangement: Arrangement) -> int:
        """Bytes of the weights that are copied into the layout used for multiplication."""
        dtype: torch.dtype = getattr(torch, arrangement.dtype)
        every = shape.linear_parameters + shape.head_parameters
        copied = every if arrangement.is_cast else 0
        if is_laid_out(arrangement.device, dtype, LARGE_NUMEL_MIN):
            copied = every
        elif is_laid_out(arrangement.device, dtype, 1):
            copied = max(copied, self.small_parameters)
        rank = arrangement.lora_rank
        adapters = 0 if rank is None else ADAPTER_COPIES * shape.adapter_parameters(rank)
        return arrangement.itemsize * (copied + adapters)


def native_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `NativeEngine`, as allocated by `native.cpp`. Weights are read in place."""
    rows = max(1, arrangement.budgets.decode_tokens // work.row_tokens)
    together = max(rows, min(work.prompt_tokens, NATIVE_PROMPT_TOKENS))
    # The residual stream and the norms, in addition to a layer's outputs except those added to the stream.
    by_token = shape.linear_outputs // shape.layers + shape.attention_width
    rank = arrangement.lora_rank
    return {
        "adapters": 0 if rank is None else ADAPTER_COPIES * FLOAT32 * shape.adapter_parameters(rank),
        "cache": cache_bytes(shape, arrangement),
        "logits": FLOAT32 * min(rows, NATIVE_LOGIT_ROWS) * shape.vocab_size,
        "tokens run together": FLOAT32 * together * (by_token + work.row_tokens),
    }


def training_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `PackedLogprobs` with `LlamaBody`. With adapters, transformers' own layers are
    used."""
    if arrangement.lora_rank is not None:
        return packed_memory(shape, arrangement, work)
    tokens = arrangement.budgets.train_tokens
    # Each layer keeps its weights in the form in which they were multiplied.
    layer = tokens * _kept(shape, arrangement, work) + cast_bytes(shape, arrangement) / shape.layers
    return {
        "activations": beside_gradients(
            shape, arrangement, work, over_layers(shape, arrangement, tokens, layer)
        )
    }


def _kept(shape: ModelShape, arrangement: Arrangement, work: Workload) -> float:
    """Bytes that a layer keeps per token for the backward pass (`layers.py`, `logprobs/attention.py`)."""
    attention = 3 * shape.attention_width + keys_per_token(arrangement, work) * shape.cache_width
    outputs = shape.linear_outputs / shape.layers
    gated = outputs - shape.attention_width - shape.cache_width - 2 * shape.hidden
    return arrangement.itemsize * (gated + attention) + FLOAT32 * 2 * shape.hidden
