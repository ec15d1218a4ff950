"""The part of a model between embeddings and output layer, run over packed tokens.

`TransformersBody` runs the model's own modules, whatever they are. `llama/body.py` contains another body.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from swarmd.hardware.autocast import autocast
from swarmd.logprobs.attention import AttentionPlan, attention_over_packed
from swarmd.logprobs.checkpointing import checkpointed


class Body(Protocol):
    """All decoder layers and the last norm."""

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        """Embeddings [N, H] -> normed states [C, H] of the tokens that predict a completion token.

        `recompute`: keep only each layer's input, and recompute the layer in the backward pass.
        """
        ...


class TransformersBody:
    """The model's own modules, including adapters."""

    def __init__(self, inner: Any, dtype: torch.dtype) -> None:
        self._inner = inner
        self._dtype = dtype

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        config = self._inner.config
        with (
            attention_over_packed(config),
            autocast(embedded.device, self._dtype),
            checkpointed(self._inner, lambda: attention_over_packed(config)) if recompute else nullcontext(),
        ):
            hidden: Tensor = self._inner(
                inputs_embeds=embedded[None],
                position_ids=plan.packing.positions[None],
                use_cache=False,
                swarmd_packing=plan,
            ).last_hidden_state
        return functional.embedding(plan.packing.predicting, hidden[0])
