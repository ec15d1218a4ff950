"""The two halves of a decoder layer around attention, with explicit backward passes.

Per token, only what is expensive to recompute is kept: the input of each half, one number per norm, and the
activation function's input. Matrix products run in the working dtype. Norms, rotations and the residual
stream are float32, as under autocast. Weight gradients are added in place (`gradients.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from swarmd.llama.norm import RmsNorm
from swarmd.llama.rotary import rotate, rotate_back
from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.gradients import add_linear_gradient
from swarmd.logprobs.products import add_product, linear, product


@dataclass(frozen=True)
class Projection:
    """A linear layer. `weight` [out, in] and `bias` [out] are the parameters themselves."""

    weight: Tensor
    bias: Tensor | None
    factored: FactoredGradients

    @classmethod
    def of(cls, linear: nn.Linear, factored: FactoredGradients) -> Projection:
        return cls(linear.weight, linear.bias, factored)

    def working(self, dtype: torch.dtype) -> Tensor:
        return self.weight.detach().to(dtype)

    def apply(self, x: Tensor, working: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return linear(x, working, bias)

    def backward(self, grad_output: Tensor, x: Tensor) -> None:
        add_linear_gradient(self.weight, self.bias, grad_output, x, self.factored)


@dataclass(frozen=True)
class AttentionInputs:
    """The first half: from the residual stream to rotated queries and keys, and values."""

    norm: RmsNorm
    query: Projection
    key: Projection
    value: Projection
    query_norm: RmsNorm | None
    key_norm: RmsNorm | None
    head_size: int


@dataclass(frozen=True)
class FeedForward:
    """The second half: from attention's result, through the gated feed-forward layer, to the residual
    stream."""

    output: Projection
    norm: RmsNorm
    gate: Projection
    up: Projection
    down: Projection


def attention_inputs(
    x: Tensor, half: AttentionInputs, rotation: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Float32 x [N, H] -> queries [N, heads * d], keys and values [N, kv heads * d] in `dtype`.

    rotation [2, N, 1, d] of the tokens' positions.
    """
    return _AttentionInputs.apply(x, half, rotation, dtype)  # type: ignore[no-any-return,no-untyped-call]


def feed_forward(x: Tensor, attended: Tensor, half: FeedForward, dtype: torch.dtype) -> Tensor:
    """Float32 x [N, H] and attended [N, heads * d] -> the layer's output [N, H], float32."""
    return _FeedForward.apply(x, attended, half, dtype)  # type: ignore[no-any-return,no-untyped-call]


def final_norm(x: Tensor, norm: RmsNorm) -> Tensor:
    """Float32 x [N, H], normed."""
    return _FinalNorm.apply(x, norm)  # type: ignore[no-any-return,no-untyped-call]


class _AttentionInputs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, half: AttentionInputs, rotation: Tensor, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor, Tensor]:
        scale = half.norm.scale(x)
        normed = half.norm.apply(x, scale).to(dtype)
        working = [p.working(dtype) for p in (half.query, half.key, half.value)]
        query, key, value = (
            p.apply(normed, w) for p, w in zip((half.query, half.key, half.value), working, strict=True)
        )
        raw: list[Tensor] = []
        turned = []
        for states, norm in ((query, half.query_norm), (key, half.key_norm)):
            heads = states.view(len(x), -1, half.head_size).float()
            if norm is not None:
                head_scale = norm.scale(heads)
                raw += [states, head_scale]
                # Rounded before the weight is applied, as in transformers and in decoding.
                heads = (heads * head_scale).to(dtype).float().mul_(norm.weight)
            turned.append(rotate(heads, rotation).flatten(1).to(dtype))
        ctx.save_for_backward(x, scale, rotation, *working, *raw)
        ctx.half = half
        return turned[0], turned[1], value

    @staticmethod
    def backward(
        ctx: Any, grad_query: Tensor, grad_key: Tensor, grad_value: Tensor
    ) -> tuple[Tensor | None, ...]:
        x, scale, rotation, *rest = ctx.saved_tensors
        working, raw = rest[:3], rest[3:]
        half: AttentionInputs = ctx.half
        dtype = working[0].dtype
        grad_states = []
        for grad_rotated, norm in ((grad_query, half.query_norm), (grad_key, half.key_norm)):
            grad_heads = rotate_back(grad_rotated.view(len(x), -1, half.head_size).float(), rotation)
            if norm is not None:
                states, head_scale = raw[:2]
                raw = raw[2:]
                grad_heads = norm.backward(grad_heads, states.view_as(grad_heads).float(), head_scale)
            grad_states.append(grad_heads.flatten(1).to(dtype))
        grad_states.append(grad_value)
        normed = half.norm.apply(x, scale).to(dtype)
        grad_normed = product(grad_states[0], working[0]).float()
        for grad_output, weight in zip(grad_states[1:], working[1:], strict=True):
            add_product(grad_normed, grad_output, weight)
        for projection, grad_output in zip((half.query, half.key, half.value), grad_states, strict=True):
            projection.backward(grad_output, normed)
        return half.norm.backward(grad_normed, x, scale), None, None, None


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, attended: Tensor, half: FeedForward, dtype: torch.dtype) -> Tensor:
        parts = (half.output, half.gate, half.up, half.down)
        working = [p.working(dtype) for p in parts]
        middle = x + half.output.apply(attended, working[0])
        scale = half.norm.scale(middle)
        normed = half.norm.apply(middle, scale).to(dtype)
        gate, up = half.gate.apply(normed, working[1]), half.up.apply(normed, working[2])
        ctx.save_for_backward(attended, middle, scale, gate, up, *working)
        ctx.half = half
        return middle + half.down.apply(functional.silu(gate).mul_(up), working[3])

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        attended, middle, scale, gate, up, output_w, gate_w, up_w, down_w = ctx.saved_tensors
        half: FeedForward = ctx.half
        dtype = gate.dtype
        activated = functional.silu(gate)
        grad_out_working = grad_out.to(dtype)
        half.down.backward(grad_out_working, activated * up)
        grad_product = product(grad_out_working, down_w)
        grad_up = activated.mul_(grad_product)
        grad_gate = torch.ops.aten.silu_backward(grad_product.mul_(up), gate)
        normed = half.norm.apply(middle, scale).to(dtype)
        half.gate.backward(grad_gate, normed)
        half.up.backward(grad_up, normed)
        grad_normed = product(grad_gate, gate_w).float()
        add_product(grad_normed, grad_up, up_w)
        grad_middle = half.norm.backward(grad_normed, middle, scale).add_(grad_out)
        grad_middle_working = grad_middle.to(dtype)
        half.output.backward(grad_middle_working, attended)
        return grad_middle, product(grad_middle_working, output_w), None, None


class _FinalNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, norm: RmsNorm) -> Tensor:
        scale = norm.scale(x)
        ctx.save_for_backward(x, scale)
        ctx.norm = norm
        return norm.apply(x, scale)

    @staticmethod
    def backward(ctx: Any, grad_normed: Tensor) -> tuple[Tensor, None]:
        x, scale = ctx.saved_tensors
        return ctx.norm.backward(grad_normed, x, scale), None
