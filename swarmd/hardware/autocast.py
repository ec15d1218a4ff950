"""Autocast: matrix products in a reduced dtype, everything that is trained in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Matrix products in `dtype`; what is trained stays float32 (small updates vanish in bfloat16)."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
