"""Peak memory of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import torch


def peak_bytes() -> int:
    """Return the most bytes that were resident at once since the process began.

    On Linux this is VmHWM, because `ru_maxrss` there starts at the parent's value. Files mapped into memory
    (weights) count, in every trainer.
    """
    if sys.platform == "linux":
        return _status_bytes("VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def present_bytes() -> int | None:
    """Return the bytes resident now; None if the system does not say."""
    return _status_bytes("VmRSS") if sys.platform == "linux" else None


def peak_device_bytes() -> int | None:
    """Return the most bytes that tensors used on the CUDA device; None without one."""
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _status_bytes(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    raise RuntimeError(f"/proc/self/status has no {key}")
