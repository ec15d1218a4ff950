"""Probes this machine once, at the start. `plan` decides what follows from the result."""

from __future__ import annotations

import logging
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from swarmd.hardware.guard import resident_bytes
from swarmd.hardware.machine import cores_busy_with_other_work, free_memory_bytes, usable_cores

log = logging.getLogger(__name__)

GIB = 2**30


@dataclass(frozen=True)
class Accelerator:
    """One GPU, as seen at the start."""

    device: str  # "cuda:0" or "mps"
    name: str
    free_bytes: int
    bfloat16: bool


@dataclass(frozen=True)
class HardwareProbe:
    """The properties of this machine, as values. Plans are made, and tested, from these alone."""

    accelerators: tuple[Accelerator, ...]
    cores: int  # physical cores that this process may use
    busy_cores: float  # of these, in use by other processes
    fast_bfloat16: bool  # whether the CPU multiplies bfloat16 in hardware
    omp_threads: int | None  # OMP_NUM_THREADS, as set by the operator
    free_bytes: int  # main memory that this process could hold, including what it already holds
    held_bytes: int  # main memory that it holds now: Python and the libraries
    cpu: str = ""  # the processor's name


def probe_hardware(*, accelerators: bool = True) -> HardwareProbe:
    """Probe this machine. Reads /proc, /sys and the drivers; takes no GPU memory beyond a context.

    Blocks for a fraction of a second. Without `accelerators`, leaves them alone and lists none.
    """
    omp = os.environ.get("OMP_NUM_THREADS", "")
    held = resident_bytes()
    return HardwareProbe(
        accelerators=(*_cuda_devices(), *_mps_device()) if accelerators else (),
        cores=usable_cores(),
        busy_cores=cores_busy_with_other_work(),
        fast_bfloat16=torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        omp_threads=int(omp) if omp.isdigit() and int(omp) > 0 else None,
        free_bytes=free_memory_bytes() + held,
        held_bytes=held,
        cpu=cpu_name(),
    )


def _cuda_devices() -> list[Accelerator]:
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        major, _minor = torch.cuda.get_device_capability(index)
        # Before Ampere (8.0), bfloat16 is emulated. ROCm numbers differently; all it supports has bfloat16.
        bfloat16 = major >= 8 or torch.version.hip is not None
        name, free = torch.cuda.get_device_name(index), _free_bytes(index)
        found.append(Accelerator(f"cuda:{index}", name, free, bfloat16))
    return found


def _free_bytes(index: int) -> int:
    """Free memory of a GPU; 0 if it has no room for a context, or another process has it to itself."""
    try:
        return torch.cuda.mem_get_info(index)[0]
    except RuntimeError as error:
        log.warning("cuda:%d cannot be used: %s", index, str(error).partition("\n")[0])
        return 0


def _mps_device() -> list[Accelerator]:
    if not torch.backends.mps.is_available():
        return []
    free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return [Accelerator("mps", "Apple GPU", free, torch.backends.mps.is_macos_or_newer(14, 0))]


def cpu_name(path: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as given by Linux; on other systems, the kind of processor."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
