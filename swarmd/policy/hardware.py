"""Which device, number type and threads this machine gives the model, and why.

`probe_hardware` looks; `plan_hardware` decides, and is pure: the same probe and wishes give the same plan.
Neither loads a model. Every decision carries a sentence for the person who started the daemon.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError

GIB = 2**30
ACCELERATOR_FREE_BYTES_MIN = (
    2 * GIB
)  # a CUDA context alone takes 0.5 GiB; with less than this a step fails midway
ACCELERATOR_HOST_THREADS = 4  # a GPU's host side only tokenises and launches kernels
SMALL_MODELS = frozenset(
    {"embedded"}
)  # matrices too small for a second thread or a second number type to pay

DType = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Accelerator:
    """One GPU as seen at start."""

    device: str  # "cuda:0" or "mps"
    name: str
    free_bytes: int
    bfloat16: bool


@dataclass(frozen=True)
class HardwareProbe:
    """What this machine has, as values: plans are made, and tested, from it alone."""

    accelerators: tuple[Accelerator, ...]
    cores: int  # physical cores this process may use
    busy_cores: float  # load average of the last minute
    fast_bfloat16: bool  # the CPU multiplies bfloat16 in hardware
    omp_threads: int | None  # OMP_NUM_THREADS, the operator's own word


@dataclass(frozen=True)
class LoraPlan:
    """Low-rank adapters on every linear layer (arXiv 2106.09685); the update is scaled by alpha / rank."""

    rank: int
    alpha: int


@dataclass(frozen=True)
class HardwarePlan:
    """What to load, where and how. `reasons` are sentences for people, one a decision."""

    model: str
    device: str
    dtype: DType
    threads: int
    lora: LoraPlan | None
    reasons: tuple[str, ...]


def plan_hardware(config: PolicyConfig, *, probe: HardwareProbe) -> HardwarePlan:
    """Decide from the operator's wishes and the machine. Raises ConfigError for a wish that cannot be met."""
    device, why_device = _choose_device(config.device, probe)
    dtype, why_dtype = _choose_dtype(config, device, probe)
    threads, why_threads = _choose_threads(config, device, probe)
    lora, why_lora = _choose_lora(config)
    reasons = (why_device, why_dtype, why_threads, why_lora)
    return HardwarePlan(config.model, device, dtype, threads, lora, reasons)


def _choose_device(wish: str, probe: HardwareProbe) -> tuple[str, str]:
    if wish == "auto":
        return _best_device(probe)
    if wish == "cpu":
        return "cpu", "cpu because it was asked for"
    kind, _, _ = wish.partition(":")
    if kind not in ("cuda", "mps"):
        raise ConfigError(f"device {wish!r} is not known: use auto, cpu, mps, cuda or cuda:N")
    matching = [a for a in probe.accelerators if a.device == wish or a.device.partition(":")[0] == wish]
    if not matching:
        there = ", ".join(a.device for a in probe.accelerators) or "only the cpu"
        raise ConfigError(
            f"device {wish!r} was asked for, but PyTorch sees {there} on this machine: use --device auto, "
            "or install a PyTorch build (and driver) for that device"
        )
    best = max(matching, key=lambda a: a.free_bytes)
    return best.device, f"{best.device} ({best.name}) because {wish} was asked for"


def _best_device(probe: HardwareProbe) -> tuple[str, str]:
    if not probe.accelerators:
        return "cpu", "cpu because PyTorch sees no GPU on this machine"
    best = max(probe.accelerators, key=lambda a: a.free_bytes)
    free = f"{best.free_bytes / GIB:.1f} GiB free"
    if best.free_bytes < ACCELERATOR_FREE_BYTES_MIN:
        return "cpu", f"cpu because {best.device} ({best.name}) has only {free}"
    return best.device, f"{best.device} ({best.name}) because it has {free}"


def _choose_dtype(config: PolicyConfig, device: str, probe: HardwareProbe) -> tuple[DType, str]:
    gpu = next((a for a in probe.accelerators if a.device == device), None)
    if config.dtype != "auto":
        if config.dtype == "bfloat16" and gpu is not None and not gpu.bfloat16:
            raise ConfigError(
                f"dtype bfloat16 was asked for, but {device} ({gpu.name}) has none: use float32"
            )
        if config.dtype == "float16":
            return "float16", "float16 because it was asked for (small gradients can vanish in it)"
        return config.dtype, f"{config.dtype} because it was asked for"
    if config.model in SMALL_MODELS:
        return "float32", f"float32 because the {config.model} model is too small to gain from less"
    if gpu is not None:
        if gpu.bfloat16:
            return "bfloat16", f"bfloat16 because {device} multiplies it in hardware; weights stay float32"
        return "float32", f"float32 because {device} has no bfloat16, and float16 loses small gradients"
    if probe.fast_bfloat16:
        return "bfloat16", "bfloat16 because this CPU multiplies it in hardware; weights stay float32"
    return "float32", "float32 because this CPU has no fast bfloat16"


def _choose_threads(config: PolicyConfig, device: str, probe: HardwareProbe) -> tuple[int, str]:
    if config.threads is not None:
        return config.threads, f"{_threads(config.threads)} because so many were asked for"
    if probe.omp_threads is not None:
        return probe.omp_threads, f"{_threads(probe.omp_threads)} because OMP_NUM_THREADS says so"
    if config.model in SMALL_MODELS:
        return 1, f"1 thread because the {config.model} model is too small to gain from a second"
    if device != "cpu":
        threads = max(1, min(ACCELERATOR_HOST_THREADS, probe.cores))
        return threads, f"{_threads(threads)} because the work is on {device}"
    # OpenMP threads wait for each other: with more threads than free cores, every one waits for the slowest
    # (two peers with two threads each on two cores: 159 -> 15 tokens/s). So take only cores that are idle.
    threads = max(1, probe.cores - round(probe.busy_cores))
    why = f"because {probe.cores} cores may be used and {probe.busy_cores:.1f} are busy with other work"
    return threads, f"{_threads(threads)} {why}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _choose_lora(config: PolicyConfig) -> tuple[LoraPlan | None, str]:
    if config.lora_rank is None:
        return None, "all weights are trained because no LoRA rank was asked for"
    alpha = config.lora_alpha or 2 * config.lora_rank
    return (
        LoraPlan(config.lora_rank, alpha),
        f"LoRA adapters of rank {config.lora_rank} (alpha {alpha}) are trained because they were asked for",
    )


def probe_hardware() -> HardwareProbe:
    """Look at this machine. Reads /proc, /sys and the drivers; takes no GPU memory beyond a context."""
    omp = os.environ.get("OMP_NUM_THREADS", "")
    return HardwareProbe(
        accelerators=(*_cuda_devices(), *_mps_device()),
        cores=_usable_cores(),
        busy_cores=psutil.getloadavg()[0],
        fast_bfloat16=torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported(),
        omp_threads=int(omp) if omp.isdigit() and int(omp) > 0 else None,
    )


def _cuda_devices() -> list[Accelerator]:
    if not torch.cuda.is_available():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        free, _total = torch.cuda.mem_get_info(index)
        major, _minor = torch.cuda.get_device_capability(index)
        # Before Ampere (8.0) bfloat16 is emulated. ROCm numbers differently; all it supports has bfloat16.
        bfloat16 = major >= 8 or torch.version.hip is not None
        found.append(Accelerator(f"cuda:{index}", torch.cuda.get_device_name(index), free, bfloat16))
    return found


def _mps_device() -> list[Accelerator]:
    if not torch.backends.mps.is_available():
        return []
    free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return [Accelerator("mps", "Apple GPU", free, torch.backends.mps.is_macos_or_newer(14, 0))]


def _usable_cores() -> int:
    """Physical cores, less what affinity and the container's quota take away."""
    logical = os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or logical
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    quota = _cgroup_quota(Path("/sys/fs/cgroup/cpu.max"))
    return max(1, int(min(physical, allowed, quota)))


def _cgroup_quota(path: Path) -> float:
    """Cores the container may use; infinite if unlimited. `cpu.max` is "QUOTA PERIOD" or "max PERIOD"."""
    try:
        quota, period = path.read_text().split()
    except (OSError, ValueError):
        return float("inf")
    return float("inf") if quota == "max" else int(quota) / int(period)
