"""This peer's use of its machine: memory, and bytes of groups received and sent."""

from __future__ import annotations

from dataclasses import dataclass

import psutil
import torch


@dataclass(frozen=True)
class MachineUse:
    """Measured at one moment, or since the daemon started. In bytes."""

    memory_bytes: int
    """Resident memory of this process."""
    device_memory_bytes: int | None
    """Peak memory that PyTorch held on the accelerator; None on a CPU, and where PyTorch does not count it
    (mps).
    """
    pulled_bytes: int
    served_bytes: int


def measure(device: torch.device, *, pulled_bytes: int, served_bytes: int) -> MachineUse:
    """Measure the use at this moment: takes a few microseconds."""
    is_cuda = device.type == "cuda"
    return MachineUse(
        memory_bytes=psutil.Process().memory_info().rss,
        device_memory_bytes=torch.cuda.max_memory_allocated(device) if is_cuda else None,
        pulled_bytes=pulled_bytes,
        served_bytes=served_bytes,
    )
