"""A limit on the main memory of this process, checked by the process itself before the kernel would kill it.

On an accelerator, the allocator enforces the limit (`set_accelerator_limit`), and no checks are needed.
"""

from __future__ import annotations

from collections.abc import Callable

import psutil
import torch
from torch import nn


class MemoryLimitError(MemoryError):
    """This process holds more memory than allowed. Raised by us, before the kernel kills the process."""


def resident_bytes() -> int:
    """Bytes that this process currently holds in main memory. Takes some microseconds."""
    return int(psutil.Process().memory_info().rss)


class MemoryGuard:
    """Checks whether this process exceeds a limit on main memory. An accelerator has its own limit."""

    def __init__(self, limit_bytes: int, resident: Callable[[], int] = resident_bytes) -> None:
        self.limit_bytes = limit_bytes
        self._resident = resident

    def check(self) -> None:
        """Raise MemoryLimitError above the limit. Called often."""
        held = self._resident()
        if held > self.limit_bytes:
            raise MemoryLimitError(
                f"the process holds {held / 2**30:.2f} GiB, but only "
                f"{self.limit_bytes / 2**30:.2f} GiB are allowed"
            )

    def watch(self, model: nn.Module) -> None:
        """Check before each of the model's layers. Activations accumulate over layers, so a batch that is too
        large is aborted halfway, before the kernel kills the process."""
        stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
        for layer in max(stacks, key=_parameters, default=nn.ModuleList()):
            layer.register_forward_pre_hook(self._before_layer)

    def _before_layer(self, _layer: nn.Module, _inputs: object) -> None:
        self.check()


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def set_accelerator_limit(device: torch.device, limit_bytes: int) -> None:
    """Make the allocator of `device` (CUDA or MPS) fail above the limit, for this process only."""
    if device.type == "cuda":
        _free, total = torch.cuda.mem_get_info(device)
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit_bytes / total), device)
    elif device.type == "mps":
        recommended = torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(1.0, limit_bytes / recommended))
