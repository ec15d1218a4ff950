"""Which models the lean forward knows, and where in them its weights are.

Llama's shape and what differs from it by a bias or a norm: rotary positions, RMS norms before attention and
before a gated feed-forward layer, full attention, heads that share keys and values. What is not known here to
be of this shape is named, never guessed at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from peft import PeftModel
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn
from transformers import (
    LlamaForCausalLM,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
)

KNOWN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
KNOWN_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary angles that depend on the position alone; those of "dynamic" and "longrope" depend on the length."""


class UnknownArchitectureError(Exception):
    """The lean forward does not compute this model; the message says what about it is not known."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer's modules: their present weights are read whenever a batch is decoded."""

    input_norm: nn.Module
    query: nn.Module
    key: nn.Module
    value: nn.Module
    query_norm: nn.Module | None
    key_norm: nn.Module | None
    output: nn.Module
    feed_forward_norm: nn.Module
    gate: nn.Module
    up: nn.Module
    down: nn.Module
    activation: nn.Module
    scale: float  # of the attention's scores

    def linears(self) -> Iterator[nn.Module]:
        yield from (linear for sharing in self.by_input() for linear in sharing)

    def by_input(self) -> tuple[tuple[nn.Module, ...], ...]:
        """`linears`, those that read the same together."""
        return (self.query, self.key, self.value), (self.output,), (self.gate, self.up), (self.down,)


@dataclass(frozen=True)
class Decoder:
    """The whole model as the lean forward sees it."""

    embedding: nn.Embedding
    rotary: nn.Module
    layers: tuple[Layer, ...]
    norm: nn.Module
    head: nn.Module
    heads: int
    kv_heads: int
    head_size: int

    def by_input(self) -> Iterator[tuple[nn.Module, ...]]:
        """All linear layers, those that read the same together."""
        for layer in self.layers:
            yield from layer.by_input()
        yield (self.head,)


def read_decoder(model: PreTrainedModel | PeftModel) -> Decoder:
    """The model's parts. Raises UnknownArchitectureError."""
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    if type(base) not in KNOWN:
        raise UnknownArchitectureError(f"{type(base).__name__} is not of a known shape")
    config = base.config
    if getattr(config, "sliding_window", None) is not None:
        raise UnknownArchitectureError("it attends through a sliding window")
    rope = config.rope_parameters["rope_type"]
    if rope not in KNOWN_ROPE:
        raise UnknownArchitectureError(f"its rotary embedding is of the type {rope}")
    body = base.model
    decoder = Decoder(
        embedding=body.embed_tokens,
        rotary=body.rotary_emb,
        layers=tuple(_read_layer(layer) for layer in body.layers),
        norm=body.norm,
        head=base.lm_head,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_size=body.layers[0].self_attn.head_dim,
    )
    _check_modules(decoder)
    return decoder


def _read_layer(layer: Any) -> Layer:
    attention, feed_forward = layer.self_attn, layer.mlp
    return Layer(
        input_norm=layer.input_layernorm,
        query=attention.q_proj,
        key=attention.k_proj,
        value=attention.v_proj,
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        output=attention.o_proj,
        feed_forward_norm=layer.post_attention_layernorm,
        gate=feed_forward.gate_proj,
        up=feed_forward.up_proj,
        down=feed_forward.down_proj,
        activation=feed_forward.act_fn,
        scale=attention.scaling,
    )


def _check_modules(decoder: Decoder) -> None:
    """Whether every weight is held by a module whose computation is known."""
    if type(decoder.embedding) is not nn.Embedding:
        raise UnknownArchitectureError(f"its embedding is a {type(decoder.embedding).__name__}")
    linears: list[Any] = [linear for sharing in decoder.by_input() for linear in sharing]
    for linear in linears:
        base = linear.get_base_layer() if type(linear) is LoraLinear else linear
        if type(base) is not nn.Linear:
            raise UnknownArchitectureError(f"one of its linear layers is a {type(base).__name__}")
        if linear is not base and (linear.lora_variant or linear.fan_in_fan_out):
            raise UnknownArchitectureError("its adapters are of another kind than plain LoRA")
