"""Autocast: matrix products in a reduced dtype, with trained weights in float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Compute matrix products in `dtype`. Trained weights stay float32: small updates would vanish in
    bfloat16."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
