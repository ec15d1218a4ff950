"""Embedding look-up whose gradient goes straight into `weight.grad`.

PyTorch's own makes a dense gradient as large as the vocabulary and adds it; here only the rows that were
looked up are touched.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.policy.scoring.gradients import accumulated


def embed(layer: nn.Embedding, ids: Tensor) -> Tensor:
    """Embeddings [N, H] of ids [N]; backward adds to `layer.weight.grad` by itself."""
    if not (layer.weight.requires_grad and torch.is_grad_enabled()):
        return functional.embedding(ids, layer.weight)
    result: Tensor = _Embed.apply(layer.weight, ids, layer.padding_idx)  # type: ignore[no-untyped-call]
    return result


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(weight, ids)
        ctx.padding = padding
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        weight, ids = ctx.saved_tensors
        if ctx.padding is not None:  # this row is not trained through look-ups
            gradient = gradient.masked_fill((ids == ctx.padding)[:, None], 0.0)
        accumulated(weight).index_add_(0, ids, gradient.to(weight.dtype))
        return None, None, None
