"""Whether a model carries LoRA adapters, said without importing peft.

peft takes a second of a start, and a peer that trains all weights never needs it. A model or a layer can be
peft's only if somebody imported peft.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from peft import PeftModel
    from peft.tuners.lora.layer import Linear as LoraLinear
    from torch import nn
    from transformers import PreTrainedModel


def is_adapted(model: PreTrainedModel | PeftModel) -> TypeGuard[PeftModel]:
    """Whether peft put adapters on `model`."""
    kind = _class("peft", "PeftModel")
    return kind is not None and isinstance(model, kind)


def is_lora_linear(layer: nn.Module) -> TypeGuard[LoraLinear]:
    """Whether `layer` is peft's plain LoRA around a linear layer. Those for quantised layers are not."""
    return type(layer) is _class("peft.tuners.lora.layer", "Linear")


def without_adapters(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The model that the adapters were put on; `model` itself if it has none."""
    base: Any = model.get_base_model() if is_adapted(model) else model
    return base  # type: ignore[no-any-return]


def _class(module: str, name: str) -> type | None:
    """None while nobody has imported it to the end."""
    found: type | None = getattr(sys.modules.get(module), name, None)
    return found
