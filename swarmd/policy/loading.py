"""Turns a plan into a policy that has been tested."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.budgets import BudgetKeeper, Budgets
from swarmd.hardware.guard import MemoryGuard, set_accelerator_limit
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.model import Located, load_model, locate
from swarmd.model.adapter_start import AdapterStart
from swarmd.model.adapters import with_adapters
from swarmd.model.context import context_of
from swarmd.model.third_party import third_party
from swarmd.policy.engines import EngineWish
from swarmd.policy.policy import Policy
from swarmd.policy.room_for_images import require_room_for_an_image
from swarmd.policy.trying_out import OTHER_MODEL, try_out

if TYPE_CHECKING:
    from peft import PeftModel

NO_ADAPTERS = "train all weights (without --lora), or use another model"
UNQUANTISED = "use the model's original weights, which are not quantised"


def load_policy(
    config: PolicyConfig,
    plan: HardwarePlan,
    *,
    max_new_tokens: int,
    remember: Callable[[Budgets], None] = lambda _: None,
    located: Located | None = None,
    training: bool = True,
    sees: bool = True,
) -> Policy:
    """Load the planned model onto its device, and test it: generate a few tokens and compute their logprobs.

    `max_new_tokens` is the swarm's limit; config may lower it. `remember` receives the budgets whenever a
    memory shortage has reduced them. `located` is where the model is, if the caller knows. Without
    `training`, no gradient is tested. Without `sees`, no images will be shown. From now on, the process
    observes the plan's memory limit. Sets the process's PyTorch threads and silences transformers' progress
    bars. Raises ModelError, naming the part that failed.
    """
    torch.set_num_threads(plan.threads)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # stderr belongs to the daemon's own log
    dtype: torch.dtype = getattr(torch, plan.dtype)
    located = located or locate(plan.model)
    remedy = "--lora r=16, " if plan.lora is None else ""
    remedies = f"{remedy}another --device, a higher --memory-limit"
    with out_of_memory_as_model_error(remedies):
        # A frozen base does not need float32, not even while it is loaded.
        model, tokenizer = load_model(
            located, torch.float32 if plan.lora is None else dtype, config.template_args, sees=sees
        )
    new_tokens = min(config.max_new_tokens or max_new_tokens, max_new_tokens)
    if located.folder is not None:
        require_room_for_an_image(tokenizer, context_of(model.config), new_tokens, located.folder)
    other = _other_way(model, plan.lora)
    with out_of_memory_as_model_error(remedies):
        guard = _limit(plan)
        with third_party(plan.model, "adding LoRA adapters or moving it to its device", other):
            placed = _place(model, plan.lora, located.adapter, dtype, plan.device)
        with third_party(plan.model, "computing a few tokens", other):
            policy = Policy(
                placed,
                tokenizer,
                max_new_tokens=new_tokens,
                temperature=config.temperature,
                dtype=dtype,
                budgets=BudgetKeeper(plan.budgets, remedy=remedy, remember=remember),
                guard=guard,
                engine=EngineWish(
                    config.engine, config.temperature, plan.memory_limit_bytes, plan.budgets.decode_tokens
                ),
                stop=config.stop,
            )
        try_out(policy, plan.model, remedy=other, training=training)
    return policy


def _limit(plan: HardwarePlan) -> MemoryGuard | None:
    """Enforce the memory limit: by the accelerator's allocator, or by a guard on the CPU."""
    if plan.memory_limit_bytes is None:
        return None
    if plan.device == "cpu":
        return MemoryGuard(plan.memory_limit_bytes)
    set_accelerator_limit(torch.device(plan.device), plan.memory_limit_bytes)
    return None


def _place(
    model: PreTrainedModel,
    lora: LoraPlan | None,
    start: AdapterStart | None,
    dtype: torch.dtype,
    device: str,
) -> PreTrainedModel | PeftModel:
    """Move to the device and add adapters. Trained weights are float32; a frozen base has the plan's
    dtype."""
    if _is_quantized(model):
        if lora is None:
            raise ModelError("its weights are quantised and cannot be trained: add --lora r=16")
        # Packed weights have no dtype of ours. Weights that are not packed already have the plan's dtype.
        return with_adapters(cast(Any, model).to(device), lora, start)
    if lora is None:
        return cast(Any, model).to(device)
    return with_adapters(cast(Any, model).to(device, dtype), lora, start)


def _is_quantized(model: PreTrainedModel) -> bool:
    return bool(getattr(model, "is_quantized", False))


def _other_way(model: PreTrainedModel, lora: LoraPlan | None) -> str:
    """What to do if the model does not work as planned. For quantised weights, there is no other way to run
    them."""
    if _is_quantized(model):
        return UNQUANTISED
    return OTHER_MODEL if lora is None else NO_ADAPTERS
