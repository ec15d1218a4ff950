"""Estimates the memory that decoding needs in addition to the model, for each engine. Pure, in bytes.

The constants were fitted to measured peaks (`python -m benchmarks.prediction` repeats the comparison).
"""

from __future__ import annotations

from swarmd.hardware.arrangement import FLOAT32, IMAGES_EXPECTED, Arrangement, Workload
from swarmd.hardware.shape import ModelShape

SAMPLING_COPIES = 5  # of a row's float32 logits while a token is sampled
PREFILL_COPIES = 2  # of the linear layers' outputs for a prompt's tokens: the output and its successor
VLLM_PREFILL_TOKENS = 2_048  # prompt tokens that vLLM processes at once


def eager_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `EagerEngine`."""
    # A layer's cache grows by copying, and is then repeated for the heads that share it.
    layer = arrangement.itemsize * shape.cache_width * (shape.layers + 1)
    repeated = 2 * arrangement.itemsize * shape.attention_width
    linear = shape.linear_parameters + shape.head_parameters
    return {
        "working copy": arrangement.itemsize * linear
        if arrangement.is_cast
        else 0,  # autocast's, kept for a whole batch
        "cache": arrangement.budgets.decode_tokens * (layer + repeated),
        "logits": sampling_bytes(shape, arrangement, work),
        "prompts": prompt_bytes(shape, arrangement, work, None),
    }


def vllm_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `VllmEngine`: its own copy of the model and its own cache."""
    return {
        "working copy": arrangement.itemsize * shape.parameters,
        "cache": cache_bytes(shape, arrangement),
        "logits": sampling_bytes(shape, arrangement, work),
        "prompts": prompt_bytes(shape, arrangement, work, VLLM_PREFILL_TOKENS),
    }


def cache_bytes(shape: ModelShape, arrangement: Arrangement) -> int:
    """Keys and values, allocated once."""
    return arrangement.budgets.decode_tokens * arrangement.itemsize * shape.cache_width * shape.layers


def sampling_bytes(shape: ModelShape, arrangement: Arrangement, work: Workload) -> int:
    """Logits of all rows, while one token of each row is sampled."""
    return SAMPLING_COPIES * FLOAT32 * _rows(arrangement, work) * shape.vocab_size


def prompt_bytes(
    shape: ModelShape, arrangement: Arrangement, work: Workload, together_max: int | None
) -> int:
    """Activations while images, then prompts run, one layer at a time. `together_max` bounds the tokens run
    at once."""
    prompts = -(-_rows(arrangement, work) // work.group_size)
    together = prompts * work.prompt_tokens
    if together_max is not None:
        together = min(together, max(together_max, work.prompt_tokens))
    text = together * shape.linear_outputs // shape.layers
    if shape.tower is None:
        return PREFILL_COPIES * arrangement.itemsize * text
    patches = prompts * IMAGES_EXPECTED * shape.tower.patches
    seen = patches * shape.tower.linear_outputs // shape.tower.layers
    return PREFILL_COPIES * arrangement.itemsize * max(text, seen)


def _rows(arrangement: Arrangement, work: Workload) -> int:
    return max(1, arrangement.budgets.decode_tokens // work.row_tokens)
