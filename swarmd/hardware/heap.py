"""Returns freed memory to the system between the phases of a step.

glibc keeps freed memory for the next allocation. Decoding and training allocate blocks of different sizes, so
neither can use what the other has freed. The process would hold both: 1 GB at 0.5 B parameters.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any

import torch

MODEL_BYTES_MIN = 256 * 2**20  # smaller models free too little to be worth the page faults of reusing it


@cache
def heap_trim() -> Any:
    """glibc's malloc_trim; None with another C library."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)


def release_freed(device: torch.device, model_bytes: int) -> None:
    """Call between two phases: returns freed memory if the model is large and computes in main memory."""
    trim = heap_trim()
    if trim is not None and device.type == "cpu" and model_bytes >= MODEL_BYTES_MIN:
        trim(0)
