"""Embedding look-up whose gradient goes straight into `weight.grad`.

PyTorch's own makes a dense gradient as large as the vocabulary and adds it; here only the rows that were
looked up are touched.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.gradients import accumulated


def embed(layer: nn.Embedding, ids: Tensor, factored: FactoredGradients, dtype: torch.dtype) -> Tensor:
    """Embeddings [N, H] of ids [N]; backward adds to `layer.weight.grad`, or to `factored`, by itself.

    `dtype` is that of the model's products: a tied output layer's part of the gradient has it.
    """
    if not (layer.weight.requires_grad and torch.is_grad_enabled()):
        return functional.embedding(ids, layer.weight)
    result: Tensor = _Embed.apply(layer.weight, ids, layer.padding_idx, factored, dtype)  # type: ignore[no-untyped-call]
    return result


class _Embed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        ids: Tensor,
        padding: int | None,
        factored: FactoredGradients,
        dtype: torch.dtype,
    ) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.weight, ctx.padding, ctx.factored, ctx.dtype = weight, padding, factored, dtype
        return functional.embedding(ids, weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None, None, None]:
        (ids,) = ctx.saved_tensors
        if ctx.padding is not None:  # this row is not trained through look-ups
            gradient = gradient.masked_fill((ids == ctx.padding)[:, None], 0.0)
        if ctx.factored.takes(ctx.weight, ctx.dtype):
            ctx.factored.add_rows(ctx.weight, ids, gradient)
        else:
            accumulated(ctx.weight).index_add_(0, ids, gradient.to(ctx.weight.dtype))
        return None, None, None, None, None
