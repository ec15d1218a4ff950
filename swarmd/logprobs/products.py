"""Products of many rows, by the faster of the two libraries that PyTorch has for float32 on a CPU.

PyTorch multiplies with MKL, which does not use AVX-512 on AMD's processors. There oneDNN is twice as fast:
200 GFLOP/s instead of 97 on one thread of an EPYC of family 26. It compiles a product for each new shape
(`packing.py`), so small products stay with MKL. Elsewhere MKL multiplies everything.

The results are for backward passes written by hand: autograd does not know them.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

from swarmd.hardware.probe import cpu_name

MULTIPLICATIONS_MIN = 2**24
"""For fewer, compiling takes longer than a later product saves."""
TOLERANCE = 1e-4  # for a trial product with entries of about 1: detects wrong results, not rounding


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [N, in] weight [out, in]^T + bias [out] -> [N, out], all in one dtype."""
    if _large(x, weight.shape[0]) and onednn_is_faster():
        result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return result
    return functional.linear(x, weight, bias)


def product(left: Tensor, right: Tensor) -> Tensor:
    """left [N, K] right [K, M] -> [N, M], in one dtype."""
    return linear(left, right.T, None)


def add_product(into: Tensor, left: Tensor, right: Tensor) -> None:
    """into [N, M] += left [N, K] right [K, M], which may have another dtype than `into`."""
    if into.dtype == left.dtype and not (_large(left, right.shape[1]) and onednn_is_faster()):
        into.addmm_(left, right)
    else:
        into += product(left, right)


def _large(left: Tensor, outputs: int) -> bool:
    """Whether left [N, K] times a matrix with `outputs` columns is worth another library."""
    return (
        left.dtype == torch.float32
        and left.device.type == "cpu"
        and left.numel() * outputs >= MULTIPLICATIONS_MIN
    )


@cache
def onednn_is_faster() -> bool:
    """Whether this is an AMD processor with AVX-512, and PyTorch multiplies right with oneDNN."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or "AMD" not in cpu_name():
        return False
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    rng = torch.Generator().manual_seed(0)
    left, weight = torch.randn(24, 32, generator=rng) / 32**0.5, torch.randn(8, 32, generator=rng)
    try:
        found = torch.ops.mkldnn._linear_pointwise(left, weight, None, "none", [], "")
    except (RuntimeError, AttributeError):  # the operator is missing or refuses this dtype here
        return False
    return bool((found.double() - left.double() @ weight.double().T).abs().max() < TOLERANCE)
