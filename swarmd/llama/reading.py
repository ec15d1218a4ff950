"""Finds the weights of a model of Llama's shape. No other file of swarmd knows transformers' module names.

Llama's shape is: rotary positions, RMS norms before attention and before a gated feed-forward layer, full
attention, and heads that may share keys and values. Biases and norms of queries and keys are allowed. A model
not known to have this shape is refused with the reason. Nothing is guessed.

Tested with transformers 5.0 to 5.24 and peft 0.18 to 0.21.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import (
    LlamaForCausalLM,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2ForCausalLM,
    Qwen3ForCausalLM,
)

from swarmd.adapted import is_lora_linear, without_adapters
from swarmd.llama.norm import RmsNorm

if TYPE_CHECKING:
    from peft import PeftModel

KNOWN = (LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM)
KNOWN_ROPE = frozenset({"default", "linear", "llama3", "yarn"})
"""Rotary angles that depend only on the position. Those of "dynamic" and "longrope" depend on the length."""
CHANGED_SHAPE = (AttributeError, TypeError, KeyError, IndexError, ValueError)
"""Errors raised if another release of transformers names or nests a model's parts differently."""


class NotLlamaError(Exception):
    """This room cannot compute this model. The message says which part of the model is unknown."""


@dataclass(frozen=True)
class Layer:
    """One decoder layer. Linear layers are the model's modules, so adapters around them are visible."""

    input_norm: RmsNorm
    query: nn.Module
    key: nn.Module
    value: nn.Module
    query_norm: RmsNorm | None
    key_norm: RmsNorm | None
    output: nn.Module
    feed_forward_norm: RmsNorm
    gate: nn.Module
    up: nn.Module
    down: nn.Module
    activation: nn.Module
    scale: float  # of the attention's scores

    def linears(self) -> Iterator[nn.Module]:
        yield from (linear for sharing in self.by_input() for linear in sharing)

    def by_input(self) -> tuple[tuple[nn.Module, ...], ...]:
        """`linears`, grouped by shared input."""
        return (self.query, self.key, self.value), (self.output,), (self.gate, self.up), (self.down,)


@dataclass(frozen=True)
class Decoder:
    """The whole model as used by this room."""

    embedding: nn.Embedding
    rotary: nn.Module
    layers: tuple[Layer, ...]
    norm: RmsNorm
    head: nn.Module
    heads: int
    kv_heads: int
    head_size: int

    def by_input(self) -> Iterator[tuple[nn.Module, ...]]:
        """All linear layers, grouped by shared input."""
        for layer in self.layers:
            yield from layer.by_input()
        yield (self.head,)


def is_silu(activation: nn.Module) -> bool:
    """Whether this is x * sigmoid(x), in PyTorch's class or one of transformers'."""
    return type(activation) is nn.SiLU or "silu" in type(activation).__name__.lower()


def read_decoder(model: PreTrainedModel | PeftModel) -> Decoder:
    """The model's parts. Raises NotLlamaError."""
    base: Any = without_adapters(model)
    try:
        return _read(base)
    except CHANGED_SHAPE as error:
        raise NotLlamaError(
            f"its {type(base).__name__} is built differently in this release of transformers ({error})"
        ) from error


def _read(base: Any) -> Decoder:
    if type(base) not in KNOWN:
        raise NotLlamaError(f"{type(base).__name__} is not of a known shape")
    config = base.config
    if getattr(config, "sliding_window", None) is not None:
        raise NotLlamaError("it attends through a sliding window")
    rope = config.rope_parameters["rope_type"]
    if rope not in KNOWN_ROPE:
        raise NotLlamaError(f"its rotary embedding is of the type {rope}")
    body = base.model
    decoder = Decoder(
        embedding=body.embed_tokens,
        rotary=body.rotary_emb,
        layers=tuple(_read_layer(layer) for layer in body.layers),
        norm=_read_norm(body.norm),
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
        input_norm=_read_norm(layer.input_layernorm),
        query=attention.q_proj,
        key=attention.k_proj,
        value=attention.v_proj,
        query_norm=_read_norm(attention.q_norm) if hasattr(attention, "q_norm") else None,
        key_norm=_read_norm(attention.k_norm) if hasattr(attention, "k_norm") else None,
        output=attention.o_proj,
        feed_forward_norm=_read_norm(layer.post_attention_layernorm),
        gate=feed_forward.gate_proj,
        up=feed_forward.up_proj,
        down=feed_forward.down_proj,
        activation=feed_forward.act_fn,
        scale=attention.scaling,
    )


def _read_norm(module: Any) -> RmsNorm:
    return RmsNorm(module.weight, float(module.variance_epsilon))


def _check_modules(decoder: Decoder) -> None:
    """Raise NotLlamaError unless every weight is in a module whose computation is known."""
    if not callable(decoder.rotary):
        raise NotLlamaError("its rotary embedding is not a module")
    if type(decoder.embedding) is not nn.Embedding:
        raise NotLlamaError(f"its embedding is a {type(decoder.embedding).__name__}")
    linears: list[Any] = [linear for sharing in decoder.by_input() for linear in sharing]
    for linear in linears:
        base = linear.get_base_layer() if is_lora_linear(linear) else linear
        if type(base) is not nn.Linear:
            raise NotLlamaError(f"one of its linear layers is a {type(base).__name__}")
        if linear is not base and (linear.lora_variant or linear.fan_in_fan_out):
            raise NotLlamaError("its adapters are not plain LoRA")
