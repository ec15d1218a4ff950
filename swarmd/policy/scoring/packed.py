"""Scores packed rows: a prompt is computed once for all its completions, and no [B, T, V] ever exists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from swarmd.policy.backend import TokenRow
from swarmd.policy.pending import PendingGradients
from swarmd.policy.scoring.attention import AttentionPlan
from swarmd.policy.scoring.bodies import Body
from swarmd.policy.scoring.checkpointing import keep_activations
from swarmd.policy.scoring.embedding import embed
from swarmd.policy.scoring.packing import pack, packed_tokens, shape_multiple
from swarmd.policy.scoring.vocabulary import chosen_logprobs


class PackedScorer:
    """Scores with a model whose attention and output layer are ordinary; `choosing.py` says which are.

    Gradients of the embedding and the output layer, and of all of `OwnBody`, are added to `.grad` or
    `pending` in backward, not handed to autograd: `torch.autograd.grad` and hooks on these do not see them.
    `recompute` says, whenever rows are scored, whether layers are to be computed again in backward.
    """

    def __init__(
        self,
        base: Any,
        body: Body,
        *,
        dtype: torch.dtype,
        pending: PendingGradients,
        recompute: Callable[[], bool] = keep_activations,
    ) -> None:
        self._embedding: nn.Embedding = base.get_input_embeddings()
        self._head: nn.Linear = base.get_output_embeddings()
        self._body = body
        self._dtype = dtype
        self.pending = pending
        self._recompute = recompute
        self.device = self._embedding.weight.device

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        """Input tokens that go through the model for these rows, but for what fills a packing up."""
        return packed_tokens(rows)

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        logprobs, mask, _ = self._score(rows, temperature)
        return logprobs, mask

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        logprobs, mask, hidden = self._score(rows, temperature)
        states = hidden.new_zeros((*mask.shape, hidden.shape[1]))
        return logprobs, mask, states.masked_scatter(mask[..., None], hidden.detach())

    def _score(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities and mask [B, T], and the states [C, H] of their tokens, row by row."""
        packing = pack(rows, shape_multiple(self.device, self._dtype)).to(self.device)
        embedded = embed(self._embedding, packing.ids, self.pending, self._dtype)
        recompute = torch.is_grad_enabled() and self._recompute()
        hidden = self._body(embedded, AttentionPlan.of(packing), recompute=recompute)
        flat = chosen_logprobs(
            hidden,
            self._head.weight,
            self._head.bias,
            packing.targets,
            temperature,
            self._dtype,
            self.pending,
        )
        width = int(packing.lengths.max())
        mask = torch.arange(width, device=self.device) < packing.lengths[:, None]
        return flat.new_zeros(mask.shape).masked_scatter(mask, flat), mask, hidden
