"""Embedding look-up whose gradient goes directly into `weight.grad`.

PyTorch's own look-up creates a dense gradient for the whole vocabulary and adds it. This one touches only the
rows that were looked up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.gradients import accumulated


def embed(layer: nn.Embedding, ids: Tensor, factored: FactoredGradients, dtype: torch.dtype) -> Tensor:
    """Embeddings [N, H] of ids [N]. The backward pass itself adds to `layer.weight.grad`, or to `factored`.

    `dtype` is the dtype of the model's products, and of the gradient that a tied output layer contributes.
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
    def backward(ctx: Any, grad_output: Tensor) -> tuple[None, None, None, None, None]:
        (ids,) = ctx.saved_tensors
        if ctx.padding is not None:  # the padding row is not trained
            grad_output = grad_output.masked_fill((ids == ctx.padding)[:, None], 0.0)
        if ctx.factored.takes(ctx.weight, ctx.dtype):
            ctx.factored.add_rows(ctx.weight, ids, grad_output)
        else:
            accumulated(ctx.weight).index_add_(0, ids, grad_output.to(ctx.weight.dtype))
        return None, None, None, None, None
