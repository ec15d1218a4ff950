"""How large a model is, from its configuration alone: nothing else is downloaded, no weight is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from swarmd.hardware.shape import ModelShape
from swarmd.model.adapters import adapter_parameters_per_rank


def on_meta(config: PretrainedConfig) -> PreTrainedModel:
    """The model without memory, on PyTorch's meta device. Works for every architecture of transformers.

    Raises ValueError, KeyError or RuntimeError for a configuration that is of no known model.
    """
    with torch.device("meta"):
        # Without `trust_remote_code`, transformers asks on the terminal whether the model's own code may run.
        model: PreTrainedModel = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, trust_remote_code=False
        )
    return model


def shape_of(model: Any) -> ModelShape:
    """The shape of a model that `on_meta` built."""
    head = model.get_output_embeddings()
    # GPT-2's linear layers are a class of their own, with the weight transposed.
    linear: list[Any] = [m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    widths = [(m.nx, m.nf) if isinstance(m, Conv1D) else (m.in_features, m.out_features) for m in linear]
    embedding = model.get_input_embeddings()
    text = model.config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
    return ModelShape(
        parameters=sum(p.numel() for p in model.parameters()),
        linear_parameters=sum(module.weight.numel() for module in linear),
        head_parameters=embedding.weight.numel(),
        adapter_parameters_per_rank=adapter_parameters_per_rank(on_meta(model.config)),
        vocab_size=embedding.num_embeddings,
        hidden=embedding.embedding_dim,
        layers=text.num_hidden_layers,
        cache_width=2 * head_size * (getattr(text, "num_key_value_heads", None) or heads),
        linear_inputs=sum(inputs for inputs, _ in widths),
        linear_outputs=sum(outputs for _, outputs in widths),
        attention_width=heads * head_size,
        context=getattr(text, "max_position_embeddings", None) or 2**31,
    )
