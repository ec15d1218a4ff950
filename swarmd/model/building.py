"""Builds a model on PyTorch's meta device, as transformers does, without importing sympy.

Whatever PyTorch computes on that device, it computes in Python, which imports sympy: 32 MB and half a second.
A model of Llama's shape computes only its rotary frequencies and initial values that nobody reads.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

import torch
from torch.overrides import TorchFunctionMode

T = TypeVar("T")
DRAWS = frozenset({"normal_", "uniform_", "kaiming_uniform_", "trunc_normal_"})
"""Names of what draws initial values: methods of a tensor, functions of PyTorch and of transformers."""


def built(build: Callable[[], T]) -> T:
    """What `build` returns. What it computes from ranges on the meta device is computed on the CPU instead.

    A model that needs both in one operation is built as transformers builds it.
    """
    with suppress(RuntimeError), _WithoutArithmetic():
        return build()
    return build()


class _WithoutArithmetic(TorchFunctionMode):
    """Within it, the meta device only allocates."""

    def __torch_function__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        # Not torch.tensor: by its device transformers sees whether weights are still to be loaded.
        if function is torch.arange and str(named.get("device")) == "meta":
            return torch.arange(*args, **{**named, "device": "cpu"})
        if getattr(function, "__name__", None) in DRAWS:
            tensor: torch.Tensor = args[0] if args else named["tensor"]
            if tensor.is_meta:
                return tensor
        return function(*args, **named)
