"""Estimates the memory that logprobs and their gradients need, for each engine. Pure, in bytes.

The constants were fitted to measured peaks (`python -m benchmarks.prediction` repeats the comparison).
"""

from __future__ import annotations

from swarmd.hardware.arrangement import FLOAT32, IMAGES_EXPECTED, Arrangement, Workload
from swarmd.hardware.shape import ModelShape
from swarmd.logprobs.padded import LOGIT_BYTES, tokens_weight
from swarmd.logprobs.vocabulary import KEPT_BYTES, slice_width

TRANSFORMERS_KEEP = 1.25
"""Numbers that transformers' layers keep for the backward pass, per input or output number of a linear
layer."""
TOWER_KEEPS = 1.3  # the same for a vision tower's: 0.75 to 1.26 by `python -m benchmarks.towers`
LOGIT_SLICES = 4  # float32 logits at once: a slice, the values computed from it, and their gradients
STATE_COPIES = 2  # of the float32 states for a value head: by token, and by row and position


def padded_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `PaddedLogprobs`."""
    # A padded token may count several times, and there is at least one row, whatever the budget.
    tokens = max(work.row_tokens, arrangement.budgets.train_tokens // tokens_weight(shape.vocab_size))
    layer = tokens * _kept_by_transformers(shape, arrangement, 1)
    logits = LOGIT_BYTES * shape.vocab_size * tokens * work.new_tokens // work.row_tokens
    layers = over_layers(shape, arrangement, tokens, layer) + cast_bytes(shape, arrangement)
    images = _tower_bytes(shape, arrangement, work, tokens)
    return {"activations": layers + logits + images + _states(shape, work, tokens)}


def _tower_bytes(shape: ModelShape, arrangement: Arrangement, work: Workload, tokens: int) -> int:
    """What a vision tower keeps for the backward pass: of each distinct image, so once per group."""
    if shape.tower is None:
        return 0
    tower, groups = shape.tower, -(-tokens // (work.row_tokens * work.group_size))
    kept = TOWER_KEEPS * arrangement.itemsize * (tower.linear_inputs + tower.linear_outputs)
    if arrangement.budgets.gradient_checkpointing:
        kept = kept / tower.layers + FLOAT32 * tower.hidden * tower.layers
    return int(groups * IMAGES_EXPECTED * tower.patches * kept)


def packed_memory(shape: ModelShape, arrangement: Arrangement, work: Workload) -> dict[str, int]:
    """The memory used by `PackedLogprobs` with transformers' own layers."""
    tokens = arrangement.budgets.train_tokens
    layer = tokens * _kept_by_transformers(shape, arrangement, keys_per_token(arrangement, work))
    layers = over_layers(shape, arrangement, tokens, layer) + cast_bytes(shape, arrangement)
    return {"activations": beside_gradients(shape, arrangement, work, layers)}


def beside_gradients(shape: ModelShape, arrangement: Arrangement, work: Workload, layers: int) -> int:
    """For packed rows: what `layers` and the logits need beyond the memory planned for gradients."""
    tokens = arrangement.budgets.train_tokens
    forward = layers + _sliced_logits(shape, arrangement, tokens) + _states(shape, work, tokens)
    if work.is_one_micro_batch(tokens) and arrangement.lora_rank is None:
        # Activations are freed as gradients appear, and the output layer's gradient appears first.
        gradients = FLOAT32 * arrangement.trained_parameters(shape)
        return max(0, forward + FLOAT32 * shape.head_parameters - gradients)
    return forward


def over_layers(shape: ModelShape, arrangement: Arrangement, tokens: int, layer: float) -> int:
    """All layers, or, if activations are recomputed, one layer plus the inputs of all layers."""
    if arrangement.budgets.gradient_checkpointing:
        return int(layer + shape.layers * tokens * FLOAT32 * shape.hidden)
    return int(layer * shape.layers)


def cast_bytes(shape: ModelShape, arrangement: Arrangement) -> int:
    """The weights converted by autocast, which are kept until the forward pass ends."""
    return arrangement.itemsize * shape.linear_parameters if arrangement.is_cast else 0


def keys_per_token(arrangement: Arrangement, work: Workload) -> float:
    """Keys per token of packed rows. Every completion has a copy of its prompt's keys in addition to its
    own."""
    room = arrangement.budgets.train_tokens - work.prompt_tokens
    together = min(work.group_size, max(1, room // work.new_tokens))
    keys = work.prompt_tokens + together * work.row_tokens
    return keys / (work.prompt_tokens + together * work.new_tokens)


def _kept_by_transformers(shape: ModelShape, arrangement: Arrangement, keys: float) -> float:
    attention = 3 * shape.attention_width + keys * shape.cache_width
    linear = TRANSFORMERS_KEEP * (shape.linear_inputs + shape.linear_outputs) / shape.layers
    return arrangement.itemsize * (linear + attention) + FLOAT32 * 4 * shape.hidden


def _sliced_logits(shape: ModelShape, arrangement: Arrangement, tokens: int) -> int:
    count = tokens * shape.vocab_size
    kept = arrangement.itemsize * count if arrangement.itemsize * count <= KEPT_BYTES else 0
    width = min(shape.vocab_size, slice_width(tokens, arrangement.device))
    return kept + LOGIT_SLICES * FLOAT32 * tokens * width


def _states(shape: ModelShape, work: Workload, tokens: int) -> int:
    """The states for a value head."""
    return STATE_COPIES * FLOAT32 * tokens * shape.hidden if work.values else 0
