"""Gradients of large weights, kept as the two factors they are products of until they are applied.

A linear layer's weight gradient is (gradient by its output)^T times (its input). When few tokens teach a
large layer, the factors are far smaller than the product: then a step never holds the gradients of all
weights, only of a few at a time. What is computed stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

GAIN_MIN = 2  # the factors take at most this part of the product's bytes, or multiplying twice does not pay
PRODUCT_BYTES_MIN = 2**20  # of one weight: smaller ones are not worth the bookkeeping
COLUMNS_AT_ONCE = 16_384  # of a factor in float32, or rows of a product: 8 MB a 128 tokens


@dataclass
class _Factors:
    grad_outputs: list[Tensor] = field(default_factory=list)
    """[n, out] each"""
    inputs: list[Tensor] = field(default_factory=list)
    """[n, in] each"""
    indices: list[Tensor] = field(default_factory=list)
    """[m] rows of the weight that were looked up ..."""
    rows: list[Tensor] = field(default_factory=list)
    """[m, in] ... and the gradient by each"""


class FactoredGradients:
    """The factors of this step. Without `begin` it takes nothing, and gradients go to `.grad` as usual."""

    def __init__(self) -> None:
        self._tokens: int | None = None
        self._factors: dict[Tensor, _Factors] = {}

    def begin(self, tokens: int) -> None:
        """A step begins in which `tokens` go through each layer, over all micro-batches."""
        self.clear()
        self._tokens = tokens

    def clear(self) -> None:
        """Forget all factors; until the next `begin` none are taken."""
        self._tokens = None
        self._factors.clear()

    def takes(self, weight: Tensor, dtype: torch.dtype) -> bool:
        """Whether factors in `dtype` of this weight's gradient belong here in this step."""
        if self._tokens is None or not weight.requires_grad:
            return False
        product = weight.numel() * weight.itemsize
        factors = self._tokens * sum(weight.shape) * dtype.itemsize
        return product >= PRODUCT_BYTES_MIN and GAIN_MIN * factors <= product

    def add(self, weight: Tensor, grad_output: Tensor, inputs: Tensor) -> None:
        """by_output [n, out], inputs [n, in] of a layer with weight [out, in]."""
        factors = self._factors.setdefault(weight, _Factors())
        factors.grad_outputs.append(grad_output)
        factors.inputs.append(inputs)

    def add_rows(self, weight: Tensor, indices: Tensor, rows: Tensor) -> None:
        """The gradient by rows [m, in] that were looked up at places [m] of the weight."""
        factors = self._factors.setdefault(weight, _Factors())
        factors.indices.append(indices)
        factors.rows.append(rows)

    def weights(self) -> list[Tensor]:
        """Those with factors."""
        return list(self._factors)

    def squared_norm(self, weight: Tensor) -> Tensor:
        """Of this weight's gradient, without multiplying it out: |B^T A|^2 = sum(B B^T * A A^T)."""
        factors = self._factors[weight]
        total = torch.zeros((), device=weight.device)
        if factors.grad_outputs:
            grad_output, inputs = _joined(factors.grad_outputs), _joined(factors.inputs)
            total += (_gram(grad_output) * _gram(inputs)).sum()
        if factors.indices:
            indices, which = torch.unique(torch.cat(factors.indices), return_inverse=True)
            rows = torch.cat(factors.rows).float()
            summed = rows.new_zeros(len(indices), rows.shape[1]).index_add_(0, which, rows)
            total += summed.square().sum()
            if factors.grad_outputs:
                total += 2 * (summed * (grad_output[:, indices].T.float() @ inputs.float())).sum()
        return total.clamp(min=0.0)  # contributions that cancel may leave a rounding error below

    @torch.no_grad()
    def release(self, weight: Tensor, out: Tensor) -> None:
        """Multiply this weight's gradient out into `out`, like the weight; its factors are forgotten."""
        factors = self._factors.pop(weight)
        if factors.grad_outputs:
            grad_output, inputs = _joined(factors.grad_outputs), _joined(factors.inputs)
            if grad_output.dtype == torch.float16:  # a product could overflow, which the norm would not show
                grad_output, inputs = grad_output.float(), inputs.float()
            if out.dtype == grad_output.dtype:
                torch.mm(grad_output.T, inputs, out=out)
            else:
                for start in range(0, len(weight), COLUMNS_AT_ONCE):  # each product is a copy
                    part = slice(start, start + COLUMNS_AT_ONCE)
                    out[part] = grad_output[:, part].T @ inputs
        else:
            out.zero_()
        for indices, rows in zip(factors.indices, factors.rows, strict=True):
            out.index_add_(0, indices, rows.to(weight.dtype))


def _joined(parts: list[Tensor]) -> Tensor:
    """[n, columns] of all parts; of a single one no copy."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _gram(factor: Tensor) -> Tensor:
    """factor factor^T [n, n] in float32, of factor [n, columns]."""
    total = torch.zeros(len(factor), len(factor), device=factor.device)
    for part in torch.split(factor, COLUMNS_AT_ONCE, dim=1):
        # float16 could overflow; bfloat16 rounds each entry by 0.4 % at most, and the norm by far less.
        columns = part if part.dtype == torch.bfloat16 else part.float()
        total += columns @ columns.T
    return total
