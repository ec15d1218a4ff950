"""Packed rows: a prompt is computed once for all its completions, and no [B, T, V] ever exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from swarmd.logprobs.attention import AttentionPlan
from swarmd.logprobs.body import Body
from swarmd.logprobs.checkpointing import keep_activations
from swarmd.logprobs.embedding import embed
from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.interface import TokenRow
from swarmd.logprobs.packing import pack, packed_tokens, shape_multiple
from swarmd.logprobs.vocabulary import chosen_logprobs

TOUCHED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "lm_head_multiplier")
"""Settings by which some models change the output layer's logits. A trial with small logits may miss it."""


class PackedLogprobs:
    """For models with ordinary attention and an ordinary output layer, as decided by `why_not_packed` and a
    trial.

    The backward pass adds the gradients of the embedding, the output layer and all of `LlamaBody` to `.grad`
    or `factored`. Autograd does not get them, so `torch.autograd.grad` and hooks on these parameters do not
    see them. `recompute` is called before rows are computed, and returns whether the backward pass should
    recompute layers.
    """

    def __init__(
        self,
        base: Any,
        body: Body,
        *,
        dtype: torch.dtype,
        factored: FactoredGradients,
        recompute: Callable[[], bool] = keep_activations,
    ) -> None:
        self._embedding: nn.Embedding = base.get_input_embeddings()
        self._head: nn.Linear = base.get_output_embeddings()
        self._body = body
        self._dtype = dtype
        self.factored = factored
        self._recompute = recompute
        self.device = self._embedding.weight.device

    @property
    def shares_prompts(self) -> bool:
        return True

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """Input tokens that go through the model for these rows, not counting padding of the packing."""
        return packed_tokens(rows)

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        logprobs, mask, _ = self._compute(rows, temperature)
        return logprobs, mask

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        logprobs, mask, hidden = self._compute(rows, temperature)
        states = hidden.new_zeros((*mask.shape, hidden.shape[1]))
        return logprobs, mask, states.masked_scatter(mask[..., None], hidden.detach())

    def _compute(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Logprobs and mask [B, T], and the states [C, H] of their tokens, row by row."""
        packing = pack(rows, shape_multiple(self.device, self._dtype, packed_tokens(rows))).to(self.device)
        embedded = embed(self._embedding, packing.ids, self.factored, self._dtype)
        recompute = torch.is_grad_enabled() and self._recompute()
        hidden = self._body(embedded, AttentionPlan.of(packing), recompute=recompute)
        flat = chosen_logprobs(
            hidden,
            self._head.weight,
            self._head.bias,
            packing.targets,
            temperature,
            self._dtype,
            self.factored,
        )
        width = int(packing.lengths.max())
        mask = torch.arange(width, device=self.device) < packing.lengths[:, None]
        return flat.new_zeros(mask.shape).masked_scatter(mask, flat), mask, hidden


def why_not_packed(base: Any) -> str | None:
    """Why this model's rows cannot be packed, as far as is visible without running it. None if they can."""
    config = base.config.get_text_config(decoder=True)
    if type(base.get_input_embeddings()) is not nn.Embedding:
        return "the model's embedding is not a plain table"
    if type(base.get_output_embeddings()) is not nn.Linear:
        return "the model's output layer is not a plain linear one"
    for name in TOUCHED_LOGITS:
        if getattr(config, name, None) not in (None, 1, 1.0):
            return f"the model changes its logits ({name})"
    if getattr(config, "sliding_window", None) is not None and getattr(config, "use_sliding_window", True):
        return "the model attends through a sliding window"
    if getattr(config, "attention_chunk_size", None) is not None:
        return "the model attends in chunks"
    return None
