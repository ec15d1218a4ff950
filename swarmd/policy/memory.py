"""How much memory a model will take at its peak, before any of it is loaded.

Pure arithmetic over the model's shape and the batches. The constants were fitted to measured peaks
(`python -m benchmarks.prediction` compares them again; docs/benchmarks.md has the table).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from swarmd.policy.budgets import Budgets
from swarmd.policy.scoring.vocabulary import KEPT_BYTES, SLICE_BYTES
from swarmd.policy.shape import ModelShape

MIB = 2**20
FLOAT32 = 4  # bytes of what is trained, its gradient, and each of AdamW's two moments

LIBRARIES_BYTES = {"cpu": 100 * MIB, "cuda": 600 * MIB, "mps": 300 * MIB}
"""What libraries take beside our tensors once they compute: thread buffers, workspaces, kernels."""
TRANSFORMERS_KEEP = 1.25
"""Numbers that transformers' layers keep for the backward pass, per number in and out of a linear layer."""
LOGIT_SLICES = 4  # of float32 logits at once: the slice, what is computed from it, and their gradient
SAMPLING_COPIES = 5  # of a row's float32 logits while a token is drawn
SLACK = 1.03  # heap that is free in pieces too small to use

PROMPT_TOKENS_EXPECTED = 256  # of a question with its system prompt; tasks differ, and none is drawn yet

DType = Literal["float32", "bfloat16", "float16"]
Device = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Workload:
    """What one step asks for, as far as it is known before the first."""

    own_groups: int
    external_groups: int
    group_size: int
    new_tokens: int
    prompt_tokens: int = PROMPT_TOKENS_EXPECTED
    training: bool = True
    """Else questions are only answered, and a group is one answer."""
    reference: bool = False
    """A frozen copy of the starting weights is kept (a KL penalty)."""

    @property
    def row_tokens(self) -> int:
        """One completion with its prompt: the least that any budget can be."""
        return self.prompt_tokens + self.new_tokens

    @property
    def decode_tokens(self) -> int:
        """All of a step decoded together, with room for prompts twice as long: they differ, and a second
        batch takes as long as the first."""
        return max(1, self.own_groups) * self.group_size * (2 * self.prompt_tokens + self.new_tokens)

    @property
    def group_tokens(self) -> int:
        """One group as a packed row."""
        return self.prompt_tokens + self.group_size * self.new_tokens

    @property
    def train_tokens(self) -> int:
        """The most that a step could put into one micro-batch: own and external groups never share one."""
        return max(self.own_groups, self.external_groups, 1) * self.group_tokens

    def is_one_micro_batch(self, train_tokens: int) -> bool:
        """Whether a step's gradient comes from a single pass through the model."""
        return train_tokens >= self.train_tokens and 0 in (self.own_groups, self.external_groups)


@dataclass(frozen=True)
class Arrangement:
    """One way of running a model on one device."""

    device: Device
    dtype: DType
    lora_rank: int | None
    budgets: Budgets

    @property
    def itemsize(self) -> int:
        return 4 if self.dtype == "float32" else 2


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
    decoding = base | _decoding(shape, arrangement, work)
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


def _decoding(shape: ModelShape, way: Arrangement, work: Workload) -> dict[str, int]:
    tokens = way.budgets.decode_tokens
    rows = max(1, tokens // work.row_tokens)
    return {
        "working copy": way.itemsize * (shape.linear_parameters + shape.head_parameters),
        "cache": way.itemsize * tokens * shape.layers * shape.cache_width,
        "logits": SAMPLING_COPIES * FLOAT32 * rows * shape.vocabulary,
    }


def _training(shape: ModelShape, way: Arrangement, work: Workload) -> dict[str, int]:
    tokens = way.budgets.train_tokens
    own = shape.is_known and way.lora_rank is None
    layer = tokens * (_kept_by_ours if own else _kept_by_transformers)(shape, way, work)
    if own and way.dtype != "float32":
        layer += way.itemsize * shape.linear_parameters / shape.layers  # each weight as it was multiplied
    if way.budgets.gradient_checkpointing:
        layers = layer + shape.layers * tokens * FLOAT32 * shape.hidden
    else:
        layers = layer * shape.layers
    words = tokens * shape.vocabulary
    kept = way.itemsize * words if way.itemsize * words <= KEPT_BYTES else 0
    logits = kept + LOGIT_SLICES * min(SLICE_BYTES, FLOAT32 * words)
    gradients = FLOAT32 * _trained(shape, way)
    forward = int(layers) + logits
    if work.is_one_micro_batch(tokens) and way.lora_rank is None:
        # Activations go as gradients come, and the output layer's gradient comes first.
        head = FLOAT32 * shape.head_parameters
        return {"gradients": gradients, "activations": max(0, forward + head - gradients)}
    return {"gradients": gradients, "activations": forward}


def _kept_by_ours(shape: ModelShape, way: Arrangement, work: Workload) -> float:
    """Bytes that a layer keeps of each token for the backward pass (`scoring/layers.py`, `attention.py`)."""
    attention = 3 * shape.attention_width + _keys_per_token(way, work) * shape.cache_width
    outputs = shape.linear_outputs / shape.layers
    gated = outputs - shape.attention_width - shape.cache_width - 2 * shape.hidden
    return way.itemsize * (gated + attention) + FLOAT32 * 2 * shape.hidden


def _kept_by_transformers(shape: ModelShape, way: Arrangement, work: Workload) -> float:
    attention = 3 * shape.attention_width + _keys_per_token(way, work) * shape.cache_width
    linear = TRANSFORMERS_KEEP * (shape.linear_inputs + shape.linear_outputs) / shape.layers
    return way.itemsize * (linear + attention) + FLOAT32 * 4 * shape.hidden


def _keys_per_token(way: Arrangement, work: Workload) -> float:
    """Keys laid out per token: every completion has its prompt's beside its own."""
    room = way.budgets.train_tokens - work.prompt_tokens
    together = min(work.group_size, max(1, room // work.new_tokens))
    keys = work.prompt_tokens + together * work.row_tokens
    return keys / (work.prompt_tokens + together * work.new_tokens)
