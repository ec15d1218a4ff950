"""Which kinds of device could be here, as the system shows it: PyTorch takes seconds to load.

A device that passes may still be missing. One that does not pass is missing for certain.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from swarmd.errors import ConfigError

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")
DRIVER_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg", "/proc/driver/nvidia/version")
"""Of NVIDIA's driver, AMD's, and the one of Windows' Linux."""


def require_plausible(device: str, asked_by: str) -> None:
    """Raises ConfigError if no device can have this name here. `asked_by` is the flag, such as --device."""
    if not DEVICE.fullmatch(device):
        raise ConfigError(f"{asked_by} {device!r} is not known: use auto, cpu, mps, cuda or cuda:N")
    kind = device.partition(":")[0]
    why = why_no_cuda() if kind == "cuda" else why_no_mps() if kind == "mps" else None
    if why is not None:
        raise ConfigError(f"{asked_by} {device}: {why}; use --device auto, which takes the best that is here")


def why_no_cuda(files: tuple[str, ...] = DRIVER_FILES) -> str | None:
    """Why there can be no cuda device; None if there may be one."""
    if _torch_version().endswith("+cpu"):
        return "the PyTorch that is installed is the build for CPUs only"
    if not any(Path(file).exists() for file in files):
        return "this machine has no NVIDIA or AMD driver"
    return None


def why_no_mps() -> str | None:
    """Why there can be no mps device; None if there may be one."""
    return None if sys.platform == "darwin" else "mps is the GPU of a Mac, and this machine is none"


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
