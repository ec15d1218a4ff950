"""From a plan to a policy that was seen to work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from peft import PeftModel
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from swarmd.config import PolicyConfig
from swarmd.errors import ModelError
from swarmd.hardware.budgets import BudgetKeeper, Budgets
from swarmd.hardware.guard import MemoryGuard, set_accelerator_limit
from swarmd.hardware.plan import HardwarePlan, LoraPlan
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.logprobs import TokenRow
from swarmd.model import load_model
from swarmd.model.adapters import with_adapters
from swarmd.model.third_party import third_party
from swarmd.policy.engines import EngineWish
from swarmd.policy.policy import Policy

PROBE_QUESTION = "What is 2 + 3?"
TIMES = (1, 2, 12)  # that it is asked: one prompt is long enough for windows of some 100 tokens
OTHER_MODEL = "use another model"
NO_ADAPTERS = "train all weights (without --lora), or use another model"
APART_MAX = 0.01  # nats, of any token in float32: rounding stays below a tenth of it
APART_MAX_HALF = 0.2  # nats, of the median token in half precision, where single ones are chaotic
TRIED_TOKENS = 4  # in rows of several lengths and copies: some caches go wrong later than at the first token


def load_policy(
    config: PolicyConfig,
    plan: HardwarePlan,
    *,
    max_new_tokens: int,
    remember: Callable[[Budgets], None] = lambda _: None,
) -> Policy:
    """Load the planned model onto its device, and let it write a few tokens and rate them.

    `max_new_tokens` is the swarm's limit; config may lower it. `remember` receives the budgets whenever a
    lack of memory made them smaller. From now on the process keeps to the plan's memory limit. Sets the
    process's PyTorch threads and silences transformers' progress bars. Raises ModelError, naming the part
    that failed.
    """
    torch.set_num_threads(plan.threads)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # stderr belongs to the daemon's own log
    dtype: torch.dtype = getattr(torch, plan.dtype)
    # A base that is frozen needs no float32, not for the moment of loading either.
    model, tokenizer = load_model(
        plan.model, torch.float32 if plan.lora is None else dtype, config.template_args
    )
    remedy = "--lora r=16, " if plan.lora is None else ""
    other = OTHER_MODEL if plan.lora is None else NO_ADAPTERS
    with out_of_memory_as_model_error(f"{remedy}another --device, a higher --memory-limit"):
        guard = _limit(plan)
        with third_party(plan.model, "adding LoRA adapters or moving it to its device", other):
            placed = _place(model, plan.lora, dtype, plan.device)
        with third_party(plan.model, "computing a few tokens", other):
            policy = Policy(
                placed,
                tokenizer,
                max_new_tokens=min(config.max_new_tokens or max_new_tokens, max_new_tokens),
                temperature=config.temperature,
                dtype=dtype,
                budgets=BudgetKeeper(plan.budgets, remedy=remedy, remember=remember),
                guard=guard,
                engine=EngineWish(config.engine, config.temperature, plan.memory_limit_bytes),
                stop=config.stop,
            )
        _try_out(policy, plan.model)
    return policy


def _try_out(policy: Policy, name: str) -> None:
    """Some questions, short and long, through everything that a step goes through."""
    with third_party(name, "writing a question with its chat template", OTHER_MODEL):
        questions = [" ".join([PROBE_QUESTION] * times) for times in TIMES]
        prompts = [policy.render(question) for question in questions if policy.fits(question)]
    with third_party(name, "generating a few tokens", OTHER_MODEL):
        groups = policy.generate(prompts, 2, TRIED_TOKENS, rng=torch.Generator().manual_seed(0))
    pairs = [(prompt, s) for prompt, group in zip(prompts, groups, strict=True) for s in group]
    with third_party(name, "computing log-probabilities", OTHER_MODEL):
        logprobs, mask = policy.logprobs([TokenRow(tuple(prompt), s.token_ids) for prompt, s in pairs])
    if not logprobs.requires_grad:
        raise ModelError(f"nothing of model {name!r} can be trained: {OTHER_MODEL}")
    sampled = torch.tensor([value for _, sample in pairs for value in sample.logprobs])
    apart = (logprobs.detach()[mask].cpu() - sampled).abs()
    is_exact = policy.dtype == torch.float32
    worst = float(apart.max() if is_exact else apart.median())
    if worst > (APART_MAX if is_exact else APART_MAX_HALF):
        raise ModelError(
            f"model {name!r} samples tokens with other probabilities than it gives them afterwards "
            f"({worst:.2g} nats apart): {OTHER_MODEL}"
        )


def _limit(plan: HardwarePlan) -> MemoryGuard | None:
    """Make the limit hold: by the accelerator's allocator, or by a guard on the CPU."""
    if plan.memory_limit_bytes is None:
        return None
    if plan.device == "cpu":
        return MemoryGuard(plan.memory_limit_bytes)
    set_accelerator_limit(torch.device(plan.device), plan.memory_limit_bytes)
    return None


def _place(
    model: PreTrainedModel, lora: LoraPlan | None, dtype: torch.dtype, device: str
) -> PreTrainedModel | PeftModel:
    """On the device, adapters added. What is trained is float32; a frozen base takes the plan's dtype."""
    if lora is None:
        if getattr(model, "is_quantized", False):
            raise ModelError("its weights are quantised and cannot be trained: add --lora r=16")
        return cast(Any, model).to(device)
    return with_adapters(cast(Any, model).to(device, dtype), lora)
