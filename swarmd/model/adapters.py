"""LoRA adapters (arXiv 2106.09685) around a model's linear layers, by peft, and how many numbers they are."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from transformers import PreTrainedModel

from swarmd.hardware.plan import LoraPlan

ADAPTER = ".lora_"  # in the names of an adapter's weights
WRAPPED = "base_layer"  # where peft keeps what an adapter was put on
SEED = 0  # adapters start the same on every peer; B starts at zero, so this changes no output


def with_adapters(model: PreTrainedModel, plan: LoraPlan) -> PeftModel:
    """The model with fresh adapters, which alone are trained, in float32. `model` is changed in place."""
    with torch.random.fork_rng(), _without_renaming_warnings():
        torch.manual_seed(SEED)
        adapted = get_peft_model(
            model,
            LoraConfig(
                task_type=TaskType.CAUSAL_LM,
                r=plan.rank,
                lora_alpha=plan.alpha,
                lora_dropout=0.0,
                target_modules="all-linear",
            ),
            autocast_adapter_dtype=True,
        )
    return cast(PeftModel, adapted)


def adapter_parameters_per_rank(model: PreTrainedModel) -> int:
    """What adapters of rank 1 add to a model on the meta device, which is of no use afterwards.

    Counted from what peft adds, and not from the linear layers: of a mixture of experts it may adapt the
    experts' stacked weights, which are no layers.
    """
    with torch.device("meta"):
        adapted = with_adapters(model, LoraPlan(1, 1))
    return sum(p.numel() for name, p in adapted.named_parameters() if ADAPTER in name)


def adapted_modules(model: PeftModel) -> tuple[str, ...]:
    """The names of the modules that carry adapters, without what is before the last dot, sorted."""
    return tuple(sorted({_adapted(name) for name, _ in model.named_parameters() if ADAPTER in name}))


def _adapted(parameter: str) -> str:
    names = parameter.partition(ADAPTER)[0].split(".")
    return next(name for name in reversed(names) if name != WRAPPED)


@contextmanager
def _without_renaming_warnings() -> Iterator[Any]:
    """peft asks transformers by a name that is being renamed: nothing that the operator can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.filterwarnings(
            "ignore", message="fan_in_fan_out", category=UserWarning
        )  # peft sets it itself
        yield
