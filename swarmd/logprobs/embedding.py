"""Embedding look-up whose gradient goes straight into `weight.grad`.

PyTorch's own look-up makes a dense gradient for the whole vocabulary and adds it. Here only the rows that
were looked up are touched.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.gradients import accumulated


def embed(layer: nn.Embedding, ids: Tensor, factored: FactoredGradients, dtype: torch.dtype) -> Tensor:
    """Embeddings [N, H] of ids [N]. Backward itself adds to `layer.weight.grad`, or to `factored`.

    `dtype` is the dtype of the model's products. A tied output layer's part of the gradient has it.
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
        if ctx.padding is not None:  # this row is not trained through look-ups
            grad_output = grad_output.masked_fill((ids == ctx.padding)[:, None], 0.0)
        if ctx.factored.takes(ctx.weight, ctx.dtype):
            ctx.factored.add_rows(ctx.weight, ids, grad_output)
        else:
            accumulated(ctx.weight).index_add_(0, ids, grad_output.to(ctx.weight.dtype))
        return None, None, None, None, None
