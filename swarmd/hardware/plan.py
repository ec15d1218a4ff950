"""Decides what to load, where and how, from the probe and the operator's settings.

Pure: the same probe, measurements and settings give the same plan. Every decision has a sentence for the
person who started the daemon. `fitting` determines what fits into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from swarmd.config import PolicyConfig
from swarmd.config.memory_limit import memory_limit_bytes
from swarmd.errors import ConfigError
from swarmd.hardware.arrangement import Device, DType, EnginesMemory, Workload
from swarmd.hardware.budgets import UNPLANNED, Budgets
from swarmd.hardware.fitting import TYPICAL_RATES, Fit, Situation, fit, needed_for
from swarmd.hardware.probe import GIB, HardwareProbe
from swarmd.hardware.rates import Rates
from swarmd.hardware.remembered import ShrunkBudgets, ceilings
from swarmd.hardware.shape import ModelShape
from swarmd.quoting import quoted

ACCELERATOR_FREE_BYTES_MIN = (
    2 * GIB
)  # a CUDA context alone takes 0.5 GiB; with less free memory, a step fails midway
ACCELERATOR_HOST_THREADS = 4  # the host side of a GPU only tokenises and launches kernels
SMALL_MODELS = frozenset(
    {"embedded", "embedded-visual"}
)  # their matrices are too small to gain from a second thread or a reduced dtype
CRAWL = 0.05  # times float32's rate; lower gains would be shown as 0.0
BFLOAT16_GAIN_MIN = 1.2  # times float32's rate; below that, its rounding is not worth it
LORA_RANK = 16  # if not all weights fit: enough for RL on small tasks, a few percent of the weights


@dataclass(frozen=True)
class LoraPlan:
    """Low-rank adapters on every linear layer (arXiv 2106.09685). The update is scaled by alpha / rank."""

    rank: int
    alpha: int


@dataclass(frozen=True)
class HardwarePlan:
    """What to load, where and how. `reasons` are sentences for people, one per decision."""

    model: str
    device: str
    dtype: DType
    threads: int
    lora: LoraPlan | None
    reasons: tuple[str, ...]
    budgets: Budgets = UNPLANNED
    memory_limit_bytes: int | None = None
    """Memory that this process may hold on the device; None if no limit is enforced."""
    predicted_peak_bytes: int | None = None


@dataclass(frozen=True)
class Placement:
    """The decisions that do not depend on the model, so the device can be measured before the model is
    known."""

    device: str
    threads: int
    why_device: str
    why_threads: str

    @property
    def kind(self) -> Device:
        kind = self.device.partition(":")[0]
        return "cuda" if kind == "cuda" else "mps" if kind == "mps" else "cpu"


@dataclass(frozen=True)
class Demand:
    """The model and the work it has to do."""

    shape: ModelShape
    engines: EnginesMemory
    work: Workload
    train_tokens: int | None = None
    """Set by the operator; None otherwise."""
    shrunk: Sequence[ShrunkBudgets] = ()
    """Budgets that ran out of memory at earlier starts."""


def plan_hardware(
    config: PolicyConfig,
    *,
    probe: HardwareProbe,
    demand: Demand | None = None,
    rates: Rates | None = None,
) -> HardwarePlan:
    """Make a plan from the operator's settings and the machine.

    Without `demand`, nothing is known about the model, and memory is not planned. Without `rates`, only the
    probe determines the dtype. Raises ConfigError for a setting that is impossible here, and ModelError if
    memory cannot suffice.
    """
    placement = choose_placement(config, probe)
    dtype, why_dtype = _choose_dtype(config, placement.device, probe, rates)
    lora, why_lora = _wished_lora(config)
    plan = HardwarePlan(
        config.model,
        placement.device,
        dtype,
        placement.threads,
        lora,
        (placement.why_device, why_dtype, placement.why_threads, why_lora),
    )
    return plan if demand is None else _with_memory(plan, placement.kind, config, probe, demand, rates)


def _with_memory(
    plan: HardwarePlan,
    kind: Device,
    config: PolicyConfig,
    probe: HardwareProbe,
    demand: Demand,
    rates: Rates | None,
) -> HardwarePlan:
    """Complete the plan with what fits: all weights or an adapter if not specified, budgets,
    checkpointing."""
    gpu = next((a for a in probe.accelerators if a.device == plan.device), None)
    free = probe.free_bytes if gpu is None else gpu.free_bytes
    limit = memory_limit_bytes(config.memory_limit, free)
    situation = Situation(
        shape=demand.shape,
        engines=demand.engines,
        device=kind,
        dtype=plan.dtype,
        work=demand.work,
        held_bytes=probe.held_bytes if gpu is None else 0,
        limit_bytes=limit,
        rates=rates or TYPICAL_RATES,
        train_tokens=demand.train_tokens,
        ceilings=ceilings(
            demand.shrunk,
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            limit_bytes=limit,
        ),
    )
    # A LoRA rank that was set is kept, even None (so a home resumes). Otherwise, an adapter is the fallback.
    is_open = "lora_rank" not in config.model_fields_set and demand.work.training
    wished = None if plan.lora is None else plan.lora.rank
    chosen = fit(situation, (None, LORA_RANK) if is_open else (wished,))
    device, dtype, threads, why_lora = plan.reasons
    if chosen.lora_rank is not None and plan.lora is None:
        plan = replace(plan, lora=LoraPlan(chosen.lora_rank, 2 * chosen.lora_rank))
        why_lora = (
            f"LoRA adapters of rank {chosen.lora_rank} are trained because all weights would need "
            f"{_gib(needed_for(situation, None))} and {_gib(limit)} may be used"
        )
    why_memory = _why_memory(situation, chosen, f"{config.memory_limit} of {_gib(free)} free")
    if rates is not None:
        why_memory = (*why_memory, f"this device was measured at {rates}")
    return replace(
        plan,
        reasons=(device, dtype, threads, why_lora, *why_memory),
        budgets=chosen.budgets,
        memory_limit_bytes=limit,
        predicted_peak_bytes=chosen.prediction.peak,
    )


def _why_memory(situation: Situation, chosen: Fit, limit: str) -> tuple[str, ...]:
    budgets = chosen.budgets
    limited = f"{_gib(situation.limit_bytes)} may be used ({limit})"
    peak = f"a peak of {_gib(chosen.prediction.peak)} is predicted, and {limited}"
    if not situation.work.training:
        return (peak, f"{budgets.decode_tokens} tokens are decoded at once")
    asked = " because that was asked for" if situation.train_tokens == budgets.train_tokens else ""
    at_once = (
        f"{budgets.decode_tokens} tokens are decoded at once, and {budgets.train_tokens} trained on{asked}"
    )
    reasons = [peak, at_once]
    if chosen.lora_rank in situation.ceilings:
        reasons.append("batches stay as small as a lack of memory made them at an earlier start")
    if budgets.gradient_checkpointing:
        reasons.append("activations are computed twice (gradient checkpointing) because they would not fit")
    return tuple(reasons)


def choose_placement(config: PolicyConfig, probe: HardwareProbe) -> Placement:
    """The device and its host threads. Raises ConfigError for a device that this machine does not have."""
    device, why_device = _choose_device(config.device, probe)
    threads, why_threads = _choose_threads(config, device, probe)
    return Placement(device, threads, why_device, why_threads)


def _choose_device(wish: str, probe: HardwareProbe) -> tuple[str, str]:
    if wish == "auto":
        return _best_device(probe)
    if wish == "cpu":
        return "cpu", "cpu because it was asked for"
    kind, _, _ = wish.partition(":")
    if kind not in ("cuda", "mps"):
        raise ConfigError(f"device {quoted(wish)} is not known: use auto, cpu, mps, cuda or cuda:N")
    matching = [a for a in probe.accelerators if a.device == wish or a.device.partition(":")[0] == wish]
    if not matching:
        there = ", ".join(a.device for a in probe.accelerators) or "only the cpu"
        raise ConfigError(
            f"device {quoted(wish)} was asked for, but PyTorch sees {there} on this machine: use "
            "--device auto, or install a PyTorch build (and driver) for that device"
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


def _choose_dtype(
    config: PolicyConfig, device: str, probe: HardwareProbe, rates: Rates | None
) -> tuple[DType, str]:
    gpu = next((a for a in probe.accelerators if a.device == device), None)
    if config.dtype != "auto":
        if config.dtype == "bfloat16" and gpu is not None and not gpu.bfloat16:
            raise ConfigError(
                f"dtype bfloat16 was asked for, but {device} ({gpu.name}) does not support it: use float32"
            )
        if config.dtype == "float16":
            return "float16", "float16 because it was asked for (small gradients can vanish in it)"
        return config.dtype, f"{config.dtype} because it was asked for"
    if config.model in SMALL_MODELS:
        return "float32", f"float32 because the {config.model} model is too small to gain from less"
    if gpu is not None and not gpu.bfloat16:
        return "float32", f"float32 because {device} has no bfloat16, and float16 loses small gradients"
    if rates is not None:
        return _faster_dtype(device, rates)
    if gpu is not None:
        return "bfloat16", f"bfloat16 because {device} multiplies it in hardware; what is trained is float32"
    if probe.fast_bfloat16:
        return "bfloat16", "bfloat16 because this CPU multiplies it in hardware; what is trained is float32"
    return "float32", "float32 because this CPU has no fast bfloat16"


def _faster_dtype(device: str, rates: Rates) -> tuple[DType, str]:
    where = "this CPU" if device == "cpu" else device
    if rates.matmul_bfloat16 is None:
        return "float32", f"float32 because {where} has no bfloat16"
    if rates.bfloat16_gain < CRAWL:
        return "float32", f"float32 because {where} multiplies bfloat16 slowly"
    measured = f"{rates.bfloat16_gain:.1f} times as fast as float32"
    if rates.bfloat16_gain >= BFLOAT16_GAIN_MIN:
        return "bfloat16", f"bfloat16 because {where} multiplies it {measured}; what is trained is float32"
    return "float32", f"float32 because {where} multiplies bfloat16 only {measured}"


def _choose_threads(config: PolicyConfig, device: str, probe: HardwareProbe) -> tuple[int, str]:
    if config.threads is not None:
        return config.threads, f"{_threads(config.threads)} because that was asked for"
    if probe.omp_threads is not None:
        return probe.omp_threads, f"{_threads(probe.omp_threads)} because OMP_NUM_THREADS says so"
    if config.model in SMALL_MODELS:
        return 1, f"1 thread because the {config.model} model is too small to gain from a second"
    if device != "cpu":
        threads = max(1, min(ACCELERATOR_HOST_THREADS, probe.cores))
        return threads, f"{_threads(threads)} because the work is on {device}"
    # OpenMP threads wait for each other: with more threads than free cores, all wait for the slowest (two
    # peers with two threads each on two cores: 159 -> 15 tokens/s). So use only idle cores.
    threads = max(1, probe.cores - round(probe.busy_cores))
    why = f"because {probe.cores} cores may be used and {probe.busy_cores:.1f} are busy with other work"
    return threads, f"{_threads(threads)} {why}"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _wished_lora(config: PolicyConfig) -> tuple[LoraPlan | None, str]:
    if config.lora_rank is None:
        if "lora_rank" in config.model_fields_set:
            return None, "all weights are trained, as in the checkpoint"
        return None, "all weights are trained because they fit and no LoRA rank was asked for"
    alpha = config.lora_alpha or 2 * config.lora_rank
    return (
        LoraPlan(config.lora_rank, alpha),
        f"LoRA adapters of rank {config.lora_rank} (alpha {alpha}) are trained because they were asked for",
    )


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"
