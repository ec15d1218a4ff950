"""Determines a model's size from its configuration alone: downloads nothing else, and reads no weights."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from swarmd.errors import ModelError
from swarmd.hardware.shape import ModelShape, TowerShape
from swarmd.model.adapter_start import AdapterStart
from swarmd.model.adapters import adapter_parameters_per_rank
from swarmd.model.building import built
from swarmd.model.context import context_of
from swarmd.model.sight import is_seeing, model_class, patches_of
from swarmd.model.third_party import third_party

CONTEXT_MIN = 2  # a prompt and an answer, of one token each


def on_meta(config: PretrainedConfig) -> PreTrainedModel:
    """The model without memory, on PyTorch's meta device. Works for every architecture of transformers.

    Raises ValueError, KeyError or RuntimeError for an unknown configuration.
    """

    def build() -> PreTrainedModel:
        with torch.device("meta"):
            # Without this, transformers would ask on the terminal whether the model's own code may run.
            model: PreTrainedModel = model_class(config).from_config(config, trust_remote_code=False)
        return model

    return built(build)


def shape_of(model: Any, start: AdapterStart | None = None, *, folder: Path | None = None) -> ModelShape:
    """The shape of a model built by `on_meta`, to be trained with the adapter `start` if given.

    `folder` is the model's own. It may say how far small images are enlarged; without it, the defaults of the
    model's type apply. Raises ModelError if that is more than images may be enlarged, or if the model has no
    layers or too short a context for a prompt and an answer.

    Adapters are counted lazily, because that builds the model again. A model without attention counts as
    having a single head, which predicts more memory than it needs.
    """
    head = model.get_output_embeddings()
    # GPT-2's linear layers have their own class, with a transposed weight.
    linear: list[Any] = [m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    widths = _widths(linear)
    tower = _tower_of(model, head, folder) if is_seeing(model.config) else None
    embedding = model.get_input_embeddings()
    text = model.config.get_text_config(decoder=True)
    heads = _size(text, "num_attention_heads") or 1
    head_size = _size(text, "head_dim") or embedding.embedding_dim // heads
    layers, context = _size(text, "num_hidden_layers") or _longest_stack(model), context_of(model.config)
    if layers < 1 or context < CONTEXT_MIN:
        raise ModelError(
            f"the configuration of this {model.config.model_type} has {layers} layers and a context of "
            f"{context} tokens: copy or download the model again"
        )
    return ModelShape(
        parameters=sum(p.numel() for p in model.parameters()),
        linear_parameters=sum(module.weight.numel() for module in linear),
        head_parameters=embedding.weight.numel(),
        adapter_parameters_per_rank=cache(
            partial(_adapter_parameters_per_rank, model.config, start, of_layers=sum(map(sum, widths)))
        ),
        vocab_size=embedding.num_embeddings,
        hidden=embedding.embedding_dim,
        layers=layers,
        cache_width=2 * head_size * (_size(text, "num_key_value_heads") or heads),
        linear_inputs=sum(inputs for inputs, _ in widths) - (0 if tower is None else tower.linear_inputs),
        linear_outputs=sum(outputs for _, outputs in widths) - (0 if tower is None else tower.linear_outputs),
        attention_width=heads * head_size,
        context=context,
        tower=tower,
    )


def _widths(linear: Sequence[Any]) -> list[tuple[int, int]]:
    """Inputs and outputs of each."""
    return [(m.nx, m.nf) if isinstance(m, Conv1D) else (m.in_features, m.out_features) for m in linear]


def _tower_of(model: Any, head: Any, folder: Path | None) -> TowerShape:
    """All parts of a model with sight besides its language model: the tower, and the layers behind it."""
    text = {head, *model.get_decoder().modules()}
    others = [module for module in model.modules() if module not in text]
    widths = _widths([module for module in others if isinstance(module, nn.Linear)])
    vision = model.config.vision_config
    return TowerShape(
        patches=patches_of(model.config, folder),
        layers=max((len(module) for module in others if isinstance(module, nn.ModuleList)), default=1),
        hidden=getattr(vision, "embed_dim", None) or vision.hidden_size,
        linear_inputs=sum(inputs for inputs, _ in widths),
        linear_outputs=sum(outputs for _, outputs in widths),
    )


def _adapter_parameters_per_rank(
    config: PretrainedConfig, start: AdapterStart | None, *, of_layers: int
) -> int:
    """Parameters per rank. `of_layers` if peft refuses the architecture, which can still be trained without
    adapters."""
    try:
        with third_party(config.model_type, "adding LoRA adapters", "train all weights"):
            return adapter_parameters_per_rank(on_meta(config), start)
    except ModelError:
        return of_layers


def _size(config: Any, name: str) -> int | None:
    """A size in a configuration, the largest if layers differ; None if this kind of model has none."""
    try:
        size = getattr(config, name, None)
    except RuntimeError:
        return None
    found = size if isinstance(size, list | tuple) else [size]
    return max((number for number in found if isinstance(number, int)), default=None)


def _longest_stack(model: Any) -> int:
    """The number of layers, for a configuration that does not contain it."""
    return max((len(module) for module in model.modules() if isinstance(module, nn.ModuleList)), default=1)
