"""Linear layers as used in decoding: fused or in place, in the working dtype.

Decoding multiplies a handful of rows with every weight, so its speed is limited by reading the weights. For 4
to 16 rows, PyTorch's CPU kernels read a [vocab_size, hidden] matrix at a third to a half of the possible
speed. In float32, a batch of products with a few of its rows each reads the matrix in place, at nearly full
speed. In bfloat16, the layout chosen by oneDNN (https://github.com/uxlfoundation/oneDNN) achieves the same;
most weights have to be copied from float32 anyway.

Therefore, small weights and weights in reduced precision on a CPU are copied and fused, once per decoded
batch. An accelerator reads weights in place at full speed, so only weights of another dtype are copied there.
Fusing the others too would save a few kernels per layer, but hold a frozen model twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.adapted import is_lora_linear

LARGE_NUMEL_MIN = 262_144  # smaller weights stay in the second-level cache, and fusing them saves calls
PACKED_ROWS = 16  # the number of rows that the layout is chosen for; measured to be good from 1 to 64 rows
BLOCK_OUTPUTS = 32  # outputs of a weight multiplied at once; 16 to 64 are equally good
BLOCK_ROWS_MAX = 16  # beyond this number of rows, one whole product is at least as fast as blocks
LAYOUT_DEVICES = frozenset({"cpu"})  # devices whose kernels are slow with weights as the model stores them
PACKING_TOLERANCE = 0.05  # for a trial product with entries of about 1: detects wrong layouts, not rounding


class Product(Protocol):
    """A matrix product whose weights are already in the place and layout that it needs."""

    def __call__(self, x: Tensor) -> Tensor:
        """[N, in] in the working dtype -> [N, out]."""
        ...

    def add_to(self, total: Tensor, x: Tensor) -> None:
        """Add the product of x [N, in] to total [N, out], which may have another dtype."""
        ...


def make_product(linears: Sequence[nn.Module], dtype: torch.dtype) -> Product:
    """One product for linear layers that share their input. Their outputs are concatenated.

    Each is an nn.Linear or peft's LoRA around one. Adapters remain separate factors, because rounding would
    lose a small update added to a weight in reduced precision.
    """
    bases = [base_linear(linear) for linear in linears]
    factors = adapter_factors(linears, dtype)
    downs = [] if factors is None else [factors[0].to(dtype)]
    weights = [base.weight for base in bases]
    if is_copied(weights, dtype):
        product = _fused([*weights, *downs], _fused_bias(bases, downs, dtype), dtype)
    else:
        parts = [_as_it_lies(base.weight.detach(), base.bias) for base in bases]
        parts += [_Plain(down.t(), None) for down in downs]
        product = parts[0] if len(parts) == 1 else _SideBySide(parts)
    return product if factors is None else _Adapted(product, factors[1])


def is_copied(weights: Sequence[Tensor], dtype: torch.dtype) -> bool:
    """Whether `make_product` multiplies with a copy of these weights, which share an input."""
    numel = sum(weight.numel() for weight in weights)
    return any(weight.dtype != dtype or is_laid_out(weight.device.type, dtype, numel) for weight in weights)


def is_laid_out(device: str, dtype: torch.dtype, numel: int) -> bool:
    """Whether weights [numel] of the working dtype are copied for a better layout. `memory.py` relies on
    this."""
    return device in LAYOUT_DEVICES and (dtype != torch.float32 or numel < LARGE_NUMEL_MIN)


def linear_numel(linear: nn.Module) -> int:
    """Numbers in the weight of a linear layer, without adapters."""
    return base_linear(linear).weight.numel()


def base_linear(linear: nn.Module) -> nn.Linear:
    return cast(nn.Linear, linear.get_base_layer() if is_lora_linear(linear) else linear)


def _fused_bias(bases: Sequence[nn.Linear], downs: Sequence[Tensor], dtype: torch.dtype) -> Tensor | None:
    """The concatenated bias of the layers, with zeros for layers without one and for the adapters' rows."""
    if all(base.bias is None for base in bases):
        return None
    biases: list[Tensor] = [
        base.weight.new_zeros(base.out_features) if base.bias is None else base.bias for base in bases
    ]
    biases += [down.new_zeros(len(down)) for down in downs]
    return torch.cat([bias.detach().to(dtype) for bias in biases])


def _fused(weights: Sequence[Tensor], bias: Tensor | None, dtype: torch.dtype) -> Product:
    """A product with a copy of the weights, in a layout for few rows."""
    working = [weight.detach().to(dtype) for weight in weights]
    if weights[0].device.type != "cpu":
        return _Plain(torch.cat(working).t(), bias)
    if sum(weight.numel() for weight in weights) >= LARGE_NUMEL_MIN and packing_works(dtype):
        return _Packed(working[0] if len(working) == 1 else torch.cat(working), bias)
    return _Plain(torch.cat([weight.t() for weight in working], dim=1), bias)


def _as_it_lies(weight: Tensor, bias: Tensor | None) -> Product:
    """A product with the model's own weight [out, in]."""
    return _InBlocks(weight, bias) if weight.device.type == "cpu" else _Plain(weight.t(), bias)


class _Plain:
    """A plain product: weight [in, out], bias [out]."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight = weight
        self._bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        if self._bias is None:
            return torch.mm(x, self._weight)
        return torch.addmm(self._bias, x, self._weight)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        if self._bias is None and total.dtype == x.dtype:
            total.addmm_(x, self._weight)
        else:
            total += self(x)


class _SideBySide:
    """Products of the same input, with concatenated outputs."""

    def __init__(self, products: Sequence[Product]) -> None:
        self._products = products

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([product(x) for product in self._products], dim=-1)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total += self(x)


class _InBlocks:
    """weight [out, in], a few outputs at a time, as a batch of small products."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        blocks, left = divmod(len(weight), BLOCK_OUTPUTS)
        self._weight = weight
        self._bias = bias
        self._rest = weight[len(weight) - left :] if left else None
        whole = weight[: blocks * BLOCK_OUTPUTS].view(blocks, BLOCK_OUTPUTS, weight.shape[1])
        self._blocks = whole.transpose(1, 2)

    def __call__(self, x: Tensor) -> Tensor:
        if len(x) > BLOCK_ROWS_MAX:
            return functional.linear(x, self._weight, self._bias)
        by_block = torch.bmm(x.expand(len(self._blocks), *x.shape), self._blocks)
        outputs = by_block.transpose(0, 1).flatten(1)
        if self._rest is not None:
            outputs = torch.cat((outputs, functional.linear(x, self._rest)), dim=-1)
        return outputs if self._bias is None else outputs.add_(self._bias)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total += self(x)


class _Packed:
    """weight [out, in] in oneDNN's own layout, through the operators that torch.compile uses on a CPU."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self._weight: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_ROWS)
        self._bias = bias
        self._multiply: Any = torch.ops.mkldnn._linear_pointwise

    def __call__(self, x: Tensor) -> Tensor:
        product: Tensor = self._multiply(x, self._weight, self._bias, "none", [], "")
        return product

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total += self(x)


class _Adapted:
    """A product whose last r outputs are the adapters' A x; B [r, out] adds them to the others."""

    def __init__(self, product: Product, ups: Tensor) -> None:
        self._product = product
        self._ups = ups

    def __call__(self, x: Tensor) -> Tensor:
        outputs = self._product(x)
        width = self._ups.shape[1]
        return torch.addmm(outputs[:, :width], outputs[:, width:], self._ups)

    def add_to(self, total: Tensor, x: Tensor) -> None:
        total += self(x)


@cache
def packing_works(dtype: torch.dtype) -> bool:
    """Whether this PyTorch build and CPU multiply correctly with a packed weight of `dtype`."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    rng = torch.Generator().manual_seed(0)
    weight = (torch.randn(64, 32, generator=rng) / 32**0.5).to(dtype)
    rows = torch.randn(3, 32, generator=rng).to(dtype)
    try:
        product = _Packed(weight, None)(rows)
    except (RuntimeError, AttributeError):  # the operator is missing or refuses this dtype here
        return False
    exact = rows.double() @ weight.double().t()
    return bool((product.double() - exact).abs().max() < PACKING_TOLERANCE)


def adapter_factors(linears: Sequence[nn.Module], dtype: torch.dtype) -> tuple[Tensor, Tensor] | None:
    """A [r, in] and B [r, out] of all active adapters combined, with B scaled; None if there are none.

    For several fused layers, B is block-diagonal: each adapter adds only to its own layer's outputs.
    """
    found: list[tuple[Tensor, Tensor, float, int]] = []
    width = 0
    for linear in linears:
        if is_lora_linear(linear) and not linear.disable_adapters and not linear.merged:
            for name in linear.active_adapters:
                if name in linear.lora_A:
                    down, up = linear.lora_A[name].weight, linear.lora_B[name].weight
                    found.append((down, up, linear.scaling[name], width))
        width += base_linear(linear).out_features
    if not found:
        return None
    downs = torch.cat([down.detach() for down, *_ in found])
    ups = torch.zeros(len(downs), width, dtype=dtype, device=downs.device)
    row = 0
    for _, up, scaling, column in found:
        ups[row : row + up.shape[1], column : column + up.shape[0]] = up.detach().t() * scaling
        row += up.shape[1]
    return downs, ups
