"""How much memory a model will take at its peak, before any of it is loaded.

Pure arithmetic over the model's shape and the batches. The constants were fitted to measured peaks
(`python -m benchmarks.prediction` compares them again; decision 9 has the table).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from swarmd.policy.arrangement import FLOAT32, Arrangement, Workload
from swarmd.policy.generation_memory import decoding_bytes
from swarmd.policy.scoring.padded import LOGIT_BYTES, tokens_weight
from swarmd.policy.scoring.vocabulary import KEPT_BYTES, SLICE_BYTES
from swarmd.policy.shape import ModelShape

MIB = 2**20

LIBRARIES_BYTES = {"cpu": 100 * MIB, "cuda": 600 * MIB, "mps": 300 * MIB}
"""What libraries take beside our tensors once they compute: thread buffers, workspaces, kernels."""
TRANSFORMERS_KEEP = 1.25
"""Numbers that transformers' layers keep for the backward pass, per number in and out of a linear layer."""
LOGIT_SLICES = 4  # of float32 logits at once: the slice, what is computed from it, and their gradient
STATE_COPIES = 2  # of the float32 states that a value head reads: by token, and by row and place
SLACK = 1.03  # heap that is free in pieces too small to use


@dataclass(frozen=True)
class MemoryPrediction:
    """Bytes on the device, the process's own among them. `peak` is the larger of the two phases."""

    peak: int
    decoding: dict[str, int] = field(repr=False)
    """What is held at the peak of decoding: name -> bytes."""
    training: dict[str, int] = field(repr=False)
    """The same in training; empty where nothing is trained."""


def predict_memory(
    shape: ModelShape, arrangement: Arrangement, work: Workload, *, held_bytes: int
) -> MemoryPrediction:
    """The peak of this process, which holds `held_bytes` on the device now, before loading."""
    base = {"process": held_bytes + LIBRARIES_BYTES[arrangement.device]}
    base |= _standing(shape, arrangement, work)
    decoding = base | decoding_bytes(shape, arrangement, work)
    training = base | _training(shape, arrangement, work) if work.training else {}
    peak = max(sum(decoding.values()), sum(training.values()))
    return MemoryPrediction(int(SLACK * peak), decoding, training)


def _standing(shape: ModelShape, way: Arrangement, work: Workload) -> dict[str, int]:
    """What is there all the time."""
    trained = _trained(shape, way)
    adapters = trained if way.lora_rank is not None else 0
    # What is trained is float32; a base that is frozen takes the plan's own type.
    weight = FLOAT32 if way.lora_rank is None else way.itemsize
    return {
        "weights": weight * shape.parameters + FLOAT32 * adapters,
        "optimiser": 2 * FLOAT32 * trained if work.training else 0,
        # With adapters the base itself is the reference.
        "reference": FLOAT32 * shape.parameters if work.reference and way.lora_rank is None else 0,
    }


def _trained(shape: ModelShape, way: Arrangement) -> int:
    return shape.parameters if way.lora_rank is None else shape.adapter_parameters(way.lora_rank)


def _training(shape: ModelShape, way: Arrangement, work: Workload) -> dict[str, int]:
    tokens = _scored_tokens(shape, way, work)
    forward = _layers(shape, way, work, tokens) + _logits(shape, way, work, tokens)
    if work.values:
        forward += STATE_COPIES * FLOAT32 * tokens * shape.hidden
    gradients = FLOAT32 * _trained(shape, way)
    alone = shape.is_packed and work.is_one_micro_batch(way.budgets.train_tokens)
    if alone and way.lora_rank is None:
        # Activations go as gradients come, and the output layer's gradient comes first.
        head = FLOAT32 * shape.head_parameters
        return {"gradients": gradients, "activations": max(0, forward + head - gradients)}
    return {"gradients": gradients, "activations": forward}


def _scored_tokens(shape: ModelShape, way: Arrangement, work: Workload) -> int:
    """Tokens that go through the model together: a padded one may count several times, and a row is one
    whatever the budget."""
    if shape.is_packed:
        return way.budgets.train_tokens
    return max(work.row_tokens, way.budgets.train_tokens // tokens_weight(shape.vocabulary))


def _layers(shape: ModelShape, way: Arrangement, work: Workload, tokens: int) -> int:
    """What the layers keep for the backward pass."""
    own = shape.is_packed and shape.is_known and way.lora_rank is None
    layer = tokens * (_kept_by_ours if own else _kept_by_transformers)(shape, way, work)
    # Each weight as it was multiplied: ours with its layer, autocast's until the forward pass has ended.
    cast = way.itemsize * shape.linear_parameters if way.is_cast else 0
    if own:
        layer += cast / shape.layers
    layers = layer + shape.layers * tokens * FLOAT32 * shape.hidden
    if not way.budgets.gradient_checkpointing:
        layers = layer * shape.layers
    return int(layers) + (0 if own else cast)


def _logits(shape: ModelShape, way: Arrangement, work: Workload, tokens: int) -> int:
    if not shape.is_packed:  # all at once, of the completions
        return LOGIT_BYTES * shape.vocabulary * tokens * work.new_tokens // work.row_tokens
    words = tokens * shape.vocabulary
    kept = way.itemsize * words if way.itemsize * words <= KEPT_BYTES else 0
    return kept + LOGIT_SLICES * min(SLICE_BYTES, FLOAT32 * words)


def _kept_by_ours(shape: ModelShape, way: Arrangement, work: Workload) -> float:
    """Bytes that a layer keeps of each token for the backward pass (`scoring/layers.py`, `attention.py`)."""
    attention = 3 * shape.attention_width + _keys_per_token(way, work) * shape.cache_width
    outputs = shape.linear_outputs / shape.layers
    gated = outputs - shape.attention_width - shape.cache_width - 2 * shape.hidden
    return way.itemsize * (gated + attention) + FLOAT32 * 2 * shape.hidden


def _kept_by_transformers(shape: ModelShape, way: Arrangement, work: Workload) -> float:
    keys = _keys_per_token(way, work) if shape.is_packed else 1
    attention = 3 * shape.attention_width + keys * shape.cache_width
    linear = TRANSFORMERS_KEEP * (shape.linear_inputs + shape.linear_outputs) / shape.layers
    return way.itemsize * (linear + attention) + FLOAT32 * 4 * shape.hidden


def _keys_per_token(way: Arrangement, work: Workload) -> float:
    """Keys laid out per token: every completion has its prompt's beside its own."""
    room = way.budgets.train_tokens - work.prompt_tokens
    together = min(work.group_size, max(1, room // work.new_tokens))
    keys = work.prompt_tokens + together * work.row_tokens
    return keys / (work.prompt_tokens + together * work.new_tokens)
