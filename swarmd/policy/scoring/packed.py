"""Scores packed rows: a prompt is computed once for all its completions, and no [B, T, V] ever exists."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.policy.backend import TokenRow, autocast
from swarmd.policy.scoring.attention import AttentionPlan, attention_over_packed
from swarmd.policy.scoring.checkpointing import checkpointed
from swarmd.policy.scoring.embedding import embed
from swarmd.policy.scoring.packing import Packing, pack, packed_tokens
from swarmd.policy.scoring.vocabulary import chosen_logprobs


class PackedScorer:
    """Scores with a model whose attention and output layer are of the ordinary kind (`choose.py` says which).

    Weight gradients of the embedding and the output layer are added to `.grad` in backward, not handed to
    autograd: `torch.autograd.grad` and hooks on these two do not see them.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        dtype: torch.dtype,
        gradient_checkpointing: bool = False,
    ) -> None:
        base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
        self._config = base.config
        self._inner: Any = base.base_model
        self._embedding: nn.Embedding = base.get_input_embeddings()
        self._head: nn.Linear = base.get_output_embeddings()
        self._dtype = dtype
        self.device = self._embedding.weight.device
        self.gradient_checkpointing = gradient_checkpointing

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """Input tokens that go through the model for these rows."""
        return packed_tokens(rows)

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        packing = pack(rows).to(self.device)
        hidden = self._hidden(packing)
        flat = chosen_logprobs(
            hidden[packing.predicting],
            self._head.weight,
            self._head.bias,
            packing.targets,
            temperature,
            self._dtype,
        )
        width = int(packing.lengths.max())
        mask = torch.arange(width, device=self.device) < packing.lengths[:, None]
        return flat.new_zeros(mask.shape).masked_scatter(mask, flat), mask

    def _hidden(self, packing: Packing) -> Tensor:
        """The last layer's states [N, H]."""
        recompute = self.gradient_checkpointing and torch.is_grad_enabled()
        with (
            attention_over_packed(self._config),
            autocast(self.device, self._dtype),
            checkpointed(self._inner, self._config) if recompute else nullcontext(),
        ):
            hidden: Tensor = self._inner(
                inputs_embeds=embed(self._embedding, packing.ids)[None],
                position_ids=packing.positions[None],
                use_cache=False,
                swarmd_packing=AttentionPlan.of(packing),
            ).last_hidden_state
        return hidden[0]
