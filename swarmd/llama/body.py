"""Llama's decoder layers for training: a `logprobs.Body` over packed tokens. Parameters stay the model's."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from swarmd.llama.layers import (
    AttentionInputs,
    FeedForward,
    Projection,
    attention_inputs,
    feed_forward,
    final_norm,
)
from swarmd.llama.reading import Decoder, Layer, NotLlamaError, is_silu
from swarmd.llama.rotary import rotations
from swarmd.logprobs.attention import AttentionPlan, attend
from swarmd.logprobs.factored import FactoredGradients


class LlamaBody:
    """Layers of Llama's shape with explicit backward passes. Parameters stay the model's.

    `before_layer` is called before each layer of a forward. Hooks on the model's modules are not called.
    """

    def __init__(
        self,
        decoder: Decoder,
        dtype: torch.dtype,
        factored: FactoredGradients,
        before_layer: Callable[[], None] | None = None,
    ) -> None:
        self._rotary = decoder.rotary
        self._layers = [_make_layer(layer, decoder.head_size, factored) for layer in decoder.layers]
        self._norm = decoder.norm
        self._dtype = dtype
        self._size = decoder.head_size
        self._before_layer = before_layer

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        rotation = rotations(self._rotary, plan.packing.positions, embedded)

        def run(layer: _Layer, x: Tensor) -> Tensor:
            query, key, value = attention_inputs(x, layer.inputs, rotation, self._dtype)
            attended = attend(query, key, value, self._size, layer.scaling, plan)
            return feed_forward(x, attended, layer.rest, self._dtype)

        x = embedded
        for layer in self._layers:
            if self._before_layer is not None:
                self._before_layer()
            x = cast(Tensor, checkpoint(run, layer, x, use_reentrant=False)) if recompute else run(layer, x)
        return final_norm(functional.embedding(plan.packing.predicting, x), self._norm)


class _Layer:
    def __init__(self, inputs: AttentionInputs, rest: FeedForward, scaling: float) -> None:
        self.inputs = inputs
        self.rest = rest
        self.scaling = scaling


def _make_layer(layer: Layer, head_size: int, factored: FactoredGradients) -> _Layer:
    if not is_silu(layer.activation):
        raise NotLlamaError(f"its activation is {type(layer.activation).__name__}")
    projections = [_projection(linear, factored) for linear in layer.linears()]
    query, key, value, output, gate, up, down = projections
    return _Layer(
        AttentionInputs(
            norm=layer.input_norm,
            query=query,
            key=key,
            value=value,
            query_norm=layer.query_norm,
            key_norm=layer.key_norm,
            head_size=head_size,
        ),
        FeedForward(output=output, norm=layer.feed_forward_norm, gate=gate, up=up, down=down),
        layer.scale,
    )


def _projection(linear: nn.Module, factored: FactoredGradients) -> Projection:
    if type(linear) is not nn.Linear:
        raise NotLlamaError("it has adapters")
    if linear.weight.dtype != torch.float32:
        raise NotLlamaError(f"its weights are {linear.weight.dtype}")
    return Projection.of(linear, factored)
