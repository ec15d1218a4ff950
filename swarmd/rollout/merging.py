"""Yields a model's weights as in a checkpoint, with adapters merged, for engines with their own copy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.adapted import without_adapters
from swarmd.errors import ConfigError
from swarmd.model.adapters import ADAPTER, WRAPPED

if TYPE_CHECKING:
    from peft import PeftModel

AROUND = f".{WRAPPED}."


@torch.no_grad()
def merged_weights(model: PreTrainedModel | PeftModel, dtype: torch.dtype) -> Iterator[tuple[str, Tensor]]:
    """Names without adapter prefixes, and weights in `dtype`, layer by layer. Tied weights appear once.

    Low-rank updates are added in float32, one weight at a time. The trained model is not changed.
    """
    base = without_adapters(model)
    if any(name.count(AROUND) > 1 for name, _ in base.named_parameters()):
        raise ConfigError(
            "adapters on the experts of a mixture cannot be merged for another engine: use --engine auto"
        )
    for name, parameter in base.named_parameters():
        if ADAPTER in name:
            continue
        owner, wrapped, kind = name.rpartition(AROUND)
        if not wrapped:
            yield name, parameter.detach().to(dtype)
        elif kind == "weight":
            yield f"{owner}.{kind}", (parameter.float() + _update(base, owner)).to(dtype)
        else:
            yield f"{owner}.{kind}", parameter.detach().to(dtype)


def _update(base: nn.Module, owner: str) -> Tensor:
    """The sum of a layer's low-rank updates, in float32."""
    from peft.tuners.lora import LoraLayer

    layer: Any = base.get_submodule(owner)
    if not isinstance(layer, LoraLayer):
        raise TypeError(f"{owner} is wrapped by {type(layer).__name__}, not by LoRA")
    updates = [layer.get_delta_weight(adapter).float() for adapter in layer.active_adapters]
    return torch.stack(updates).sum(dim=0)
