"""The weights that training changes, all of them or an adapter's, and how to restore them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from swarmd.errors import ModelError

if TYPE_CHECKING:
    from peft import PeftModel


def trainable_parameters(model: PreTrainedModel | PeftModel) -> Iterator[tuple[str, nn.Parameter]]:
    """Names and parameters that training changes. Tied weights appear once."""
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


@torch.no_grad()
def put_back(model: PreTrainedModel | PeftModel, state: Mapping[str, Tensor], family: str) -> None:
    """Load the trained weights `state` into `model`, which is called `family` in messages.

    Raises ModelError, changing nothing, if they are from another model.
    """
    own = dict(trainable_parameters(model))
    wrong = sorted(own.keys() ^ state.keys()) or sorted(
        name for name in own if own[name].shape != state[name].shape
    )
    if wrong:
        raise ModelError(
            f"the saved weights belong to another model, not to {family} ({len(wrong)} tensors "
            f"differ, such as {wrong[0]}): start with the model and LoRA rank they were saved with"
        )
    for name, parameter in own.items():
        parameter.copy_(state[name])
