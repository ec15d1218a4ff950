"""Adds LoRA adapters (arXiv 2106.09685) to a model's linear layers with peft, and counts their parameters.

peft is imported only when adapters are created (`swarmd.adapted` explains why).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

from swarmd.errors import ModelError
from swarmd.hardware.plan import LoraPlan
from swarmd.model.adapter_start import AdapterStart
from swarmd.quoting import quoted

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

ADAPTER = ".lora_"  # part of the names of an adapter's weights
WRAPPED = "base_layer"  # peft's name for a module inside an adapter
PEFT_WARNINGS = (
    ("fan_in_fan_out", UserWarning),  # peft sets it itself
    (
        r"The following (rank|alpha)_pattern keys did not match",
        RuntimeWarning,
    ),  # peft's own patterns for experts
    ("target_parameters=", RuntimeWarning),  # the same
)
SEED = 0  # adapters start the same on every peer; B starts at zero, so the seed changes no output


def with_adapters(model: PreTrainedModel, plan: LoraPlan, start: AdapterStart | None = None) -> PeftModel:
    """The model with adapters. Only these are trained, in float32. Changes `model` in place.

    The adapters are new and on every linear layer, or those of `start`. Raises ModelError if the weights of
    `start` are incomplete or belong to a different base.
    """
    get_peft_model = _adding()
    with torch.random.fork_rng(), _without_peft_warnings():
        torch.manual_seed(SEED)
        config = _on_every_layer(plan) if start is None else start.lora_config()
        adapted = cast("PeftModel", get_peft_model(model, config, autocast_adapter_dtype=True))
        if start is not None:
            _load(adapted, start)
    return adapted


def _adding() -> Callable[..., Any]:
    """peft's function. It looks at torch's distributed tensors, and relies on transformers to import them."""
    import_module("torch.distributed.tensor")
    from peft import get_peft_model

    function: Callable[..., Any] = get_peft_model
    return function


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
            f"are missing or do not belong there, such as {quoted(wrong[0])}"
        )


def adapter_parameters_per_rank(model: PreTrainedModel, start: AdapterStart | None = None) -> int:
    """Parameters that adapters add per unit of rank. `model` is on the meta device, and unusable afterwards.

    Counts what peft adds rather than the linear layers, because in a mixture of experts peft may adapt the
    experts' stacked weights, which are not layers. Adapters of `start` are counted as they are, rounded up.
    """
    get_peft_model = _adding()  # import before the block, where its tensors would get no memory
    rank = 1 if start is None else start.settings.r
    with torch.device("meta"), _without_peft_warnings():
        config = _on_every_layer(LoraPlan(1, 1)) if start is None else start.lora_config()
        adapted = get_peft_model(model, config)
    added: int = sum(p.numel() for name, p in adapted.named_parameters() if ADAPTER in name)
    return -(-added // rank)


def adapted_modules(model: PeftModel) -> tuple[str, ...]:
    """The last part of the names of all modules that have adapters, sorted."""
    return tuple(sorted({_adapted(name) for name, _ in model.named_parameters() if ADAPTER in name}))


def _adapted(parameter: str) -> str:
    names = parameter.partition(ADAPTER)[0].split(".")
    return next(name for name in reversed(names) if name != WRAPPED)


@contextmanager
def _without_peft_warnings() -> Iterator[Any]:
    """Suppress peft's warnings about its own behaviour, which the operator cannot change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it uses a deprecated name of transformers
        for message, category in PEFT_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        yield
