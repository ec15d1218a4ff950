"""Autocast: matrix products in a reduced dtype; what is trained stays float32."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Compute matrix products in `dtype`. What is trained stays float32: small updates vanish in bfloat16."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)
