"""What lies between embeddings and the output layer, run over packed tokens.

Two ways of the same computation: through transformers' own modules, whatever they are, and our own layers for
the shapes that `generation/architecture.py` knows, which keep less and compute the rest again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from swarmd.policy.backend import autocast
from swarmd.policy.generation.architecture import Decoder, Layer, UnknownArchitectureError
from swarmd.policy.pending import PendingGradients
from swarmd.policy.scoring.attention import AttentionPlan, attend, attention_over_packed
from swarmd.policy.scoring.checkpointing import checkpointed
from swarmd.policy.scoring.layers import (
    AttentionInputs,
    FeedForward,
    Norm,
    Projection,
    attention_inputs,
    feed_forward,
    final_norm,
)


class Body(Protocol):
    """All decoder layers and the last norm."""

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        """Embeddings [N, H] -> normed states [C, H] at the places that predict.

        `recompute`: keep only each layer's input for backward, and compute the layer again there.
        """
        ...


class TransformersBody:
    """The model's own modules, adapters among them."""

    def __init__(self, inner: Any, dtype: torch.dtype) -> None:
        self._inner = inner
        self._dtype = dtype

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        config = self._inner.config
        with (
            attention_over_packed(config),
            autocast(embedded.device, self._dtype),
            checkpointed(self._inner, lambda: attention_over_packed(config)) if recompute else nullcontext(),
        ):
            hidden: Tensor = self._inner(
                inputs_embeds=embedded[None],
                position_ids=plan.packing.positions[None],
                use_cache=False,
                swarmd_packing=plan,
            ).last_hidden_state
        return functional.embedding(plan.packing.predicting, hidden[0])


class OwnBody:
    """Layers of Llama's shape with their backward passes written out; parameters stay the model's.

    `before_layer` is called before each layer of a forward: hooks on the model's modules are not.
    """

    def __init__(
        self,
        decoder: Decoder,
        dtype: torch.dtype,
        pending: PendingGradients,
        before_layer: Callable[[], None] | None = None,
    ) -> None:
        self._rotary: Any = decoder.rotary
        self._layers = [_own_layer(layer, decoder.head_size, pending) for layer in decoder.layers]
        self._norm = _norm(decoder.norm)
        self._dtype = dtype
        self._size = decoder.head_size
        self._before_layer = before_layer

    def __call__(self, embedded: Tensor, plan: AttentionPlan, *, recompute: bool) -> Tensor:
        with torch.no_grad():
            cosines, sines = self._rotary(embedded[:1], plan.packing.positions[None])
        half = self._size // 2
        cosines, sines = (angles[0, :, None, :half].contiguous() for angles in (cosines, sines))

        def run(layer: _OwnLayer, x: Tensor) -> Tensor:
            query, key, value = attention_inputs(x, layer.inputs, cosines, sines, self._dtype)
            attended = attend(query, key, value, self._size, layer.scaling, plan)
            return feed_forward(x, attended, layer.rest, self._dtype)

        x = embedded
        for layer in self._layers:
            if self._before_layer is not None:
                self._before_layer()
            x = cast(Tensor, checkpoint(run, layer, x, use_reentrant=False)) if recompute else run(layer, x)
        return final_norm(functional.embedding(plan.packing.predicting, x), self._norm)


class _OwnLayer:
    def __init__(self, inputs: AttentionInputs, rest: FeedForward, scaling: float) -> None:
        self.inputs = inputs
        self.rest = rest
        self.scaling = scaling


def _own_layer(layer: Layer, head_size: int, pending: PendingGradients) -> _OwnLayer:
    if type(layer.activation) is not nn.SiLU and "silu" not in type(layer.activation).__name__.lower():
        raise UnknownArchitectureError(f"its activation is {type(layer.activation).__name__}")
    projections = [_projection(linear, pending) for linear in layer.linears()]
    query, key, value, output, gate, up, down = projections
    return _OwnLayer(
        AttentionInputs(
            norm=_norm(layer.input_norm),
            query=query,
            key=key,
            value=value,
            query_norm=None if layer.query_norm is None else _norm(layer.query_norm),
            key_norm=None if layer.key_norm is None else _norm(layer.key_norm),
            head_size=head_size,
        ),
        FeedForward(output=output, norm=_norm(layer.feed_forward_norm), gate=gate, up=up, down=down),
        layer.scale,
    )


def _projection(linear: nn.Module, pending: PendingGradients) -> Projection:
    if type(linear) is not nn.Linear:
        raise UnknownArchitectureError("it has adapters")
    if linear.weight.dtype != torch.float32:
        raise UnknownArchitectureError(f"its weights are {linear.weight.dtype}")
    return Projection.of(linear, pending)


def _norm(module: nn.Module) -> Norm:
    weight, epsilon = cast(Any, module).weight, cast(Any, module).variance_epsilon
    return Norm(weight, float(epsilon))
