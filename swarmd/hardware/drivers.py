"""Checks which kinds of device this system could have without PyTorch, which takes seconds to load.

A device that passes may still be missing. One that does not pass is certainly missing.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.quoting import quoted

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
DRIVER_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg", "/proc/driver/nvidia/version")
"""Files of NVIDIA's driver, AMD's driver, and the driver in Windows' Linux subsystem."""


def require_plausible(device: str, asked_by: str) -> None:
    """Raise ConfigError if no device here can have this name. `asked_by` is the flag, such as --device."""
    if not DEVICE.fullmatch(device):
        raise ConfigError(f"{asked_by} {quoted(device)} is not known: use auto, cpu, mps, cuda or cuda:N")
    kind = device.partition(":")[0]
    why = why_no_cuda() if kind == "cuda" else why_no_mps() if kind == "mps" else None
    if why is not None:
        raise ConfigError(f"{asked_by} {device}: {why}; use --device auto, which chooses the best device")


def why_no_cuda(files: tuple[str, ...] = DRIVER_FILES) -> str | None:
    """Why there cannot be a cuda device; None if there may be one."""
    if _torch_version().endswith("+cpu"):
        return "the installed PyTorch is the CPU-only build"
    if not any(Path(file).exists() for file in files):
        return "this machine has no NVIDIA or AMD driver"
    return None


def why_no_mps() -> str | None:
    """Why there cannot be an mps device; None if there may be one."""
    return None if sys.platform == "darwin" else "mps is the GPU of a Mac, and this machine is not a Mac"


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
