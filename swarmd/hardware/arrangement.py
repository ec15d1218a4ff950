"""The work of a step, and one way to run a model for it. Besides the model, memory depends on these."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from swarmd.hardware.budgets import Budgets
from swarmd.hardware.shape import ModelShape

FLOAT32 = 4  # bytes per trained number, per gradient, and per each of AdamW's two moments
PROMPT_TOKENS_EXPECTED = 256  # of a question with its system prompt; tasks differ, and none is drawn yet
IMAGES_EXPECTED = 4  # of a question with images: those of the preset `visual` show one to four

DType = Literal["float32", "bfloat16", "float16"]
Device = Literal["cpu", "cuda", "mps"]


@dataclass(frozen=True)
class Workload:
    """The work of one step, as far as it is known before the first step."""

    own_groups: int
    external_groups: int
    group_size: int
    new_tokens: int
    prompt_tokens: int = PROMPT_TOKENS_EXPECTED
    training: bool = True
    """If false, questions are only answered, and a group is one answer."""
    reference: bool = False
    """Whether a frozen copy of the initial weights is kept (for a KL penalty)."""
    values: bool = False
    """Whether a value head reads every token's last state (PPO)."""
    beside_bytes: int = 0
    """Held on the device in addition to the policy: models that judge."""

    @property
    def row_tokens(self) -> int:
        """Tokens of one completion with its prompt: the smallest possible budget."""
        return self.prompt_tokens + self.new_tokens

    @property
    def decode_tokens(self) -> int:
        """Tokens of a whole step decoded at once, with room for prompts twice as long.

        Prompts differ in length, and a second batch would take as long as the first.
        """
        return max(1, self.own_groups) * self.group_size * (2 * self.prompt_tokens + self.new_tokens)

    @property
    def group_tokens(self) -> int:
        """Tokens of one group as a packed row."""
        return self.prompt_tokens + self.group_size * self.new_tokens

    @property
    def train_tokens(self) -> int:
        """Tokens of a whole step, with own and external groups, in one micro-batch."""
        return max(1, self.own_groups + self.external_groups) * self.group_tokens

    def is_one_micro_batch(self, train_tokens: int) -> bool:
        """Whether a step's gradient is certain to come from a single pass through the model.

        With external groups it never is, because they may be larger than own ones.
        """
        return train_tokens >= self.train_tokens and self.external_groups == 0


@dataclass(frozen=True)
class Arrangement:
    """One way to run a model on one device."""

    device: Device
    dtype: DType
    lora_rank: int | None
    budgets: Budgets

    @property
    def itemsize(self) -> int:
        """Bytes per number in matrix products."""
        return FLOAT32 if self.dtype == "float32" else 2

    @property
    def is_cast(self) -> bool:
        """Whether weights are stored in a different dtype than that of matrix products.

        Trained weights are stored in float32, a frozen base in the plan's dtype.
        """
        return self.lora_rank is None and self.dtype != "float32"

    def trained_parameters(self, shape: ModelShape) -> int:
        """The number of trained parameters: all weights, or the adapters'."""
        return shape.parameters if self.lora_rank is None else shape.adapter_parameters(self.lora_rank)


Memory = Callable[[ModelShape, Arrangement, Workload], dict[str, int]]
"""An engine's peak memory besides weights, gradients and optimiser: name -> bytes."""


@dataclass(frozen=True)
class EnginesMemory:
    """The memory estimates of a model's two engines."""

    decoding: Memory
    training: Memory
