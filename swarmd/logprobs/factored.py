"""Gradients of large weights, each kept as two factors that are multiplied only when the gradient is applied.

A linear layer's weight gradient is grad_output^T times the layer's input. If a large layer is trained on few
tokens, the factors are far smaller than their product. A step then holds the gradients of only a few weights
at a time. The result stays the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

GAIN_MIN = 2  # below this ratio of product to factor bytes, multiplying twice does not pay off
PRODUCT_BYTES_MIN = 2**20  # per weight; smaller ones are not worth the bookkeeping
COLUMNS_AT_ONCE = 16_384  # of a factor in float32, or rows of a product: 8 MB per 128 tokens


@dataclass
class _Factors:
    grad_outputs: list[Tensor] = field(default_factory=list)
    """[n, out] each"""
    inputs: list[Tensor] = field(default_factory=list)
    """[n, in] each"""
    indices: list[Tensor] = field(default_factory=list)
    """[m] each: which rows of the weight were looked up"""
    rows: list[Tensor] = field(default_factory=list)
    """[m, in] each: the gradients of these rows"""


class FactoredGradients:
    """The factors of one step. Before `begin`, it takes nothing, and gradients go to `.grad` as usual."""

    def __init__(self) -> None:
        self._tokens: int | None = None
        self._factors: dict[Tensor, _Factors] = {}

    def begin(self, tokens: int) -> None:
        """Start a step in which `tokens` tokens go through each layer, over all micro-batches."""
        self.clear()
        self._tokens = tokens

    def clear(self) -> None:
        """Drop all factors. None are taken until the next `begin`."""
        self._tokens = None
        self._factors.clear()

    def takes(self, weight: Tensor, dtype: torch.dtype) -> bool:
        """Whether this weight's gradient should be added here as factors in `dtype` in this step."""
        if self._tokens is None or not weight.requires_grad:
            return False
        product = weight.numel() * weight.itemsize
        factors = self._tokens * sum(weight.shape) * dtype.itemsize
        return product >= PRODUCT_BYTES_MIN and GAIN_MIN * factors <= product

    def add(self, weight: Tensor, grad_output: Tensor, inputs: Tensor) -> None:
        """Add grad_output [n, out] and inputs [n, in] of a layer with weight [out, in]."""
        factors = self._factors.setdefault(weight, _Factors())
        factors.grad_outputs.append(grad_output)
        factors.inputs.append(inputs)

    def add_rows(self, weight: Tensor, indices: Tensor, rows: Tensor) -> None:
        """Add the gradients `rows` [m, in] of the weight's rows that were looked up at `indices` [m]."""
        factors = self._factors.setdefault(weight, _Factors())
        factors.indices.append(indices)
        factors.rows.append(rows)

    def weights(self) -> list[Tensor]:
        """The weights that have factors."""
        return list(self._factors)

    def squared_norm(self, weight: Tensor) -> Tensor:
        """|gradient|^2 of this weight, without multiplying the factors: |B^T A|^2 = sum(B B^T * A A^T)."""
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
        return total.clamp(min=0.0)  # rounding may give a negative value if contributions cancel

    @torch.no_grad()
    def release(self, weight: Tensor, out: Tensor) -> None:
        """Multiply this weight's factors into `out`, shaped like the weight, and drop them."""
        factors = self._factors.pop(weight)
        if factors.grad_outputs:
            grad_output, inputs = _joined(factors.grad_outputs), _joined(factors.inputs)
            if grad_output.dtype == torch.float16:  # a product could overflow unnoticed by the norm
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
    """All parts concatenated to [n, columns]. A single part is not copied."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _gram(factor: Tensor) -> Tensor:
    """factor factor^T [n, n] in float32, for factor [n, columns]."""
    total = torch.zeros(len(factor), len(factor), device=factor.device)
    for part in torch.split(factor, COLUMNS_AT_ONCE, dim=1):
        # float16 could overflow; bfloat16 rounds each entry by at most 0.4%, and the norm by far less.
        columns = part if part.dtype == torch.bfloat16 else part.float()
        total += columns @ columns.T
    return total
