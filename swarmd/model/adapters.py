"""LoRA adapters (arXiv 2106.09685) around a model's linear layers, by peft, and how many numbers they are.

peft is imported where adapters are made (`swarmd.adapted` says why).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from swarmd.errors import ModelError
from swarmd.hardware.plan import LoraPlan
from swarmd.model.adapter_start import AdapterStart

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

ADAPTER = ".lora_"  # in the names of an adapter's weights
WRAPPED = "base_layer"  # where peft keeps what an adapter was put on
PEFT_WARNINGS = (
    ("fan_in_fan_out", UserWarning),  # peft sets it itself
    (
        r"The following (rank|alpha)_pattern keys did not match",
        RuntimeWarning,
    ),  # its own patterns for experts
    ("target_parameters=", RuntimeWarning),  # the same
)
SEED = 0  # adapters start the same on every peer; B starts at zero, so this changes no output


def with_adapters(model: PreTrainedModel, plan: LoraPlan, start: AdapterStart | None = None) -> PeftModel:
    """The model with adapters, which alone are trained, in float32. `model` is changed in place.

    They are fresh and on every linear layer, or those of `start`. Raises ModelError if its weights are not
    all there, or belong to another base.
    """
    from peft import get_peft_model

    with torch.random.fork_rng(), _without_peft_warnings():
        torch.manual_seed(SEED)
        config = _on_every_layer(plan) if start is None else start.lora_config()
        adapted = cast("PeftModel", get_peft_model(model, config, autocast_adapter_dtype=True))
        if start is not None:
            _load(adapted, start)
    return adapted


def _on_every_layer(plan: LoraPlan) -> LoraConfig:
    from peft import LoraConfig, TaskType

    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=plan.rank,
        lora_alpha=plan.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
    )


def _load(adapted: PeftModel, start: AdapterStart) -> None:
    from peft import set_peft_model_state_dict

    if not start.weights.is_file():
        raise ModelError(f"the adapter in {start.folder} has no weights: {start.weights.name} is missing")
    loaded: Any = set_peft_model_state_dict(adapted, load_file(start.weights))
    missing = [name for name in loaded.missing_keys if ADAPTER in name]
    wrong = [*missing, *loaded.unexpected_keys]
    if wrong:
        raise ModelError(
            f"the adapter in {start.folder} does not fit its base {start.base}: {len(wrong)} of its weights "
            f"are missing or have no place there, {wrong[0]!r} first"
        )


def adapter_parameters_per_rank(model: PreTrainedModel, start: AdapterStart | None = None) -> int:
    """What adapters add per unit of rank to a model on the meta device, which is of no use afterwards.

    Counted from what peft adds, and not from the linear layers: of a mixture of experts it may adapt the
    experts' stacked weights, which are no layers. Adapters of `start` are counted as they are, rounded up.
    """
    from peft import get_peft_model  # before the block, in which its own tensors would be without memory

    rank = 1 if start is None else start.settings.r
    with torch.device("meta"), _without_peft_warnings():
        config = _on_every_layer(LoraPlan(1, 1)) if start is None else start.lora_config()
        adapted = get_peft_model(model, config)
    added: int = sum(p.numel() for name, p in adapted.named_parameters() if ADAPTER in name)
    return -(-added // rank)


def adapted_modules(model: PeftModel) -> tuple[str, ...]:
    """The names of the modules that carry adapters, without what is before the last dot, sorted."""
    return tuple(sorted({_adapted(name) for name, _ in model.named_parameters() if ADAPTER in name}))


def _adapted(parameter: str) -> str:
    names = parameter.partition(ADAPTER)[0].split(".")
    return next(name for name in reversed(names) if name != WRAPPED)


@contextmanager
def _without_peft_warnings() -> Iterator[Any]:
    """What peft warns about here is its own doing, and nothing that the operator can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it asks transformers by a name that is being renamed
        for message, category in PEFT_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
