"""How large a model is, from its configuration alone: nothing is downloaded but that, no weight is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, PretrainedConfig
from transformers.pytorch_utils import Conv1D

from swarmd.policy.generation.architecture import UnknownArchitectureError, read_decoder
from swarmd.policy.generation.products import LARGE_NUMEL_MIN
from swarmd.policy.scoring.choosing import why_not_packed


@dataclass(frozen=True)
class ModelShape:
    """What the memory of a model depends on. Counts are of numbers, not of bytes."""

    parameters: int
    """All weights, tied ones once."""
    linear_parameters: int
    """Those of the linear layers, the output layer not among them."""
    head_parameters: int
    """Vocabulary x hidden: of the output layer, and of the embedding again."""
    small_parameters: int
    """Of both kinds, those that our own decoding copies on a CPU in any number type."""
    vocabulary: int
    hidden: int
    layers: int
    cache_width: int
    """Numbers kept for each token and layer while decoding: keys and values of all heads."""
    linear_inputs: int
    """Summed over the linear layers of the model: how many numbers each token brings in ..."""
    linear_outputs: int
    """... and takes out."""
    attention_width: int
    """Numbers of a token's query, all heads together."""
    context: int
    """Tokens the model can look back on."""
    is_known: bool
    """Whether our own layers compute it; else transformers' do, and keep more for the backward pass."""
    is_packed: bool
    """Whether a prompt is scored once for all its completions, as far as the configuration tells."""

    def adapter_parameters(self, rank: int) -> int:
        """Of LoRA adapters of this rank on every linear layer (arXiv 2106.09685)."""
        return rank * (self.linear_inputs + self.linear_outputs)


def shape_of(config: PretrainedConfig) -> ModelShape:
    """Built without memory, on PyTorch's meta device, so that it holds for every architecture.

    Raises ValueError, KeyError or RuntimeError for a configuration that is of no known model.
    """
    with torch.device("meta"):
        # Without the word, transformers asks on the terminal whether the model's own code may run.
        model: Any = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            config, trust_remote_code=False
        )
    head = model.get_output_embeddings()
    # GPT-2's linear layers are a class of their own, with the weight the other way round.
    linear: list[Any] = [m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    widths = [(m.nx, m.nf) if isinstance(m, Conv1D) else (m.in_features, m.out_features) for m in linear]
    embedding = model.get_input_embeddings()
    text = config.get_text_config(decoder=True)
    heads = text.num_attention_heads
    head_size = getattr(text, "head_dim", None) or text.hidden_size // heads
    try:
        sharing: list[tuple[Any, ...]] = list(read_decoder(model).by_input())
        is_known = True
    except UnknownArchitectureError:
        sharing, is_known = [], False
    sizes = [sum(module.weight.numel() for module in modules) for modules in sharing]
    return ModelShape(
        parameters=sum(p.numel() for p in model.parameters()),
        linear_parameters=sum(module.weight.numel() for module in linear),
        head_parameters=embedding.weight.numel(),
        small_parameters=sum(size for size in sizes if size < LARGE_NUMEL_MIN),
        vocabulary=embedding.num_embeddings,
        hidden=embedding.embedding_dim,
        layers=text.num_hidden_layers,
        cache_width=2 * head_size * (getattr(text, "num_key_value_heads", None) or heads),
        linear_inputs=sum(inputs for inputs, _ in widths),
        linear_outputs=sum(outputs for _, outputs in widths),
        attention_width=heads * head_size,
        context=getattr(text, "max_position_embeddings", None) or 2**31,
        is_known=is_known,
        is_packed=why_not_packed(model) is None,
    )
