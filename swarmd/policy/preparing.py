"""Makes the plan for this machine: probes the hardware, measures it, reads the model's configuration,
decides.

This is the shell around `hardware/plan.py`, which is pure. It loads no weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from swarmd.config import PolicyConfig
from swarmd.errors import ConfigError
from swarmd.hardware.arrangement import FLOAT32, Workload
from swarmd.hardware.budgets import Budgets
from swarmd.hardware.plan import Demand, HardwarePlan, choose_placement, plan_hardware
from swarmd.hardware.probe import HardwareProbe, probe_hardware
from swarmd.hardware.rates import rates_of
from swarmd.hardware.remembered import ShrunkBudgets, read_shrunk, write_shrunk
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.model import TO_PLAN, locate, on_meta, read_configuration, shape_of
from swarmd.model.adapter_start import AdapterStart
from swarmd.model.third_party import third_party
from swarmd.policy.memory import engines_memory


@dataclass(frozen=True)
class Prepared:
    """The plan, and a callback for reduced budgets when memory runs out."""

    plan: HardwarePlan
    remember: Callable[[Budgets], None]


def prepare_plan(
    config: PolicyConfig,
    work: Workload,
    *,
    train_tokens: int | None = None,
    rates_cache: Path | None = None,
    remembered: Path | None = None,
    probe: HardwareProbe | None = None,
    only_reads: bool = False,
) -> Prepared:
    """Plan how this machine does `work` with the configured model.

    `train_tokens` is the operator's own budget. `rates_cache` and `remembered` are files in the home, both
    read and written. With `only_reads`, `rates_cache` is only read. Raises ConfigError, and ModelError if the
    model is unknown or cannot fit.
    """
    probe = probe or probe_hardware(accelerators=config.device != "cpu")
    located = locate(config.model, TO_PLAN, watch=lambda _: None)  # small files: no progress bar
    if located.adapter is not None:
        config = _begun_with(located.adapter, config)
    configuration = read_configuration(located)
    with third_party(config.model, "building it from its configuration", "use another model"):
        model = on_meta(configuration)
        shape = shape_of(model, located.adapter, folder=located.folder)
        engines = engines_memory(model, config.engine)
    placement = choose_placement(config, probe)
    name = next((gpu.name for gpu in probe.accelerators if gpu.device == placement.device), probe.cpu)
    with out_of_memory_as_model_error("another --device"):
        rates = rates_of(
            placement.device,
            placement.threads,
            rates_cache,
            name=name,
            weights_bytes=FLOAT32 * shape.parameters,
            only_reads=only_reads,
        )
    demand = Demand(shape, engines, _within(work, shape.context), train_tokens, read_shrunk(remembered))
    plan = plan_hardware(config, probe=probe, demand=demand, rates=rates)
    if located.adapter is not None:
        begun = f"training starts from the adapter in {located.adapter.folder}, on {located.base}"
        plan = replace(plan, reasons=(*plan.reasons, begun))

    def remember(smaller: Budgets) -> None:
        shrunk = ShrunkBudgets(
            model=plan.model,
            device=plan.device,
            dtype=plan.dtype,
            lora_rank=None if plan.lora is None else plan.lora.rank,
            limit_bytes=plan.memory_limit_bytes or 0,
            decode_tokens=smaller.decode_tokens,
            train_tokens=smaller.train_tokens,
            gradient_checkpointing=smaller.gradient_checkpointing,
        )
        write_shrunk(remembered, shrunk)

    return Prepared(plan, remember)


def _begun_with(adapter: AdapterStart, config: PolicyConfig) -> PolicyConfig:
    """The settings with the adapter's own rank and alpha. Raises ConfigError if different ones were
    requested."""
    rank, alpha = adapter.settings.r, adapter.settings.lora_alpha
    if config.lora_rank not in (None, rank) or config.lora_alpha not in (None, alpha):
        asked = f"r={config.lora_rank}" + ("" if config.lora_alpha is None else f",alpha={config.lora_alpha}")
        raise ConfigError(
            f"--lora {asked} was requested, but the adapter in {adapter.folder} has r={rank},alpha={alpha}: "
            "remove --lora, or start from the base"
        )
    return config.model_copy(update={"lora_rank": rank, "lora_alpha": alpha})


def _within(work: Workload, context: int) -> Workload:
    """Limit rows to the model's context, as the policy does."""
    new = min(work.new_tokens, context - 1)
    return replace(work, new_tokens=new, prompt_tokens=min(work.prompt_tokens, context - new))
