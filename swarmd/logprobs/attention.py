"""Attention over packed tokens, plugged into transformers' models through its registry of implementations.

Each prompt attends to itself once. Each completion attends to its prompt and to itself. No token attends to
another completion, so nothing is computed for such pairs, and a group may have any length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PretrainedConfig

from swarmd.logprobs.packing import Packing
from swarmd.logprobs.short_attention import Blocks, short_attention

NAME = "swarmd_packed"
FLOAT32_TOKENS_MAX = 128
"""On a CPU, the backward pass over shorter completions is up to three times slower in bfloat16 than
float32."""
MASK_ALIGNMENT = 16  # elements; the stride between rows of a mask is a multiple of this
MEANINGLESS_HERE = frozenset(
    {"position_ids", "use_cache", "cache_position", "is_causal", "output_attentions", "output_hidden_states"}
)
"""Arguments that models pass along but that do not affect attention over a packing."""


class UnknownAttentionError(ValueError):
    """The model needs something that attention over packed tokens does not support (a window, a soft cap)."""


@dataclass(frozen=True)
class AttentionPlan:
    """A packing and its mask, built once for all layers. Each layer keeps the mask for its backward pass."""

    packing: Packing
    visible: Tensor | None
    _masks: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict)
    _blocks: dict[tuple[int, int], Blocks | None] = field(default_factory=dict)

    def blocks(self, kv_heads: int, shared: int) -> Blocks | None:
        """The blocks for `short_attention`, on the CPU; None if it would not be faster."""
        if (kv_heads, shared) not in self._blocks:
            self._blocks[kv_heads, shared] = Blocks.of(self.packing, kv_heads, shared)
        return self._blocks[kv_heads, shared]

    def mask(self, shared: int, dtype: torch.dtype) -> Tensor:
        """The mask to add to scores: [B' or 1, 1, shared * T', P + T'], for `shared` query heads in
        sequence."""
        if self.visible is None:
            raise ValueError("no completion has inputs")
        made = self._masks.get((shared, dtype))
        if made is None:
            hidden = ~self.visible.repeat(1, 1, shared, 1)
            keys = hidden.shape[-1]
            # CUDA's kernel would copy an unaligned mask for each layer.
            aligned = -(-keys // MASK_ALIGNMENT) * MASK_ALIGNMENT
            made = torch.zeros(*hidden.shape[:-1], aligned, dtype=dtype, device=hidden.device)[..., :keys]
            made.masked_fill_(hidden, float("-inf"))
            self._masks[shared, dtype] = made
        return made

    @classmethod
    def of(cls, packing: Packing) -> AttentionPlan:
        return cls(packing, packing.visible_keys() if packing.inputs.numel() else None)


def packed_attention(
    _module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    swarmd_packing: AttentionPlan,
    **rest: object,
) -> tuple[Tensor, None]:
    """query [1, heads, N, d], key and value [1, kv heads, N, d] -> [1, N, heads, d]."""
    asked = sorted(name for name, v in rest.items() if v is not None and name not in MEANINGLESS_HERE)
    if asked or attention_mask is not None or dropout:
        raise UnknownAttentionError(", ".join(asked) or "a mask or dropout")
    heads = query.shape[1]
    query, key, value = (states[0].transpose(0, 1).flatten(1) for states in (query, key, value))
    size = query.shape[1] // heads
    attended = attend(query, key, value, size, scaling, swarmd_packing)
    return attended.view(1, -1, heads, size), None


def attend(
    query: Tensor, key: Tensor, value: Tensor, size: int, scaling: float | None, plan: AttentionPlan
) -> Tensor:
    """Attention over flat states: query [N, heads * size], key, value [N, kv heads * size] -> like query."""
    packing = plan.packing
    dtype = query.dtype
    if query.device.type == "cpu" and packing.inputs.shape[1] <= FLOAT32_TOKENS_MAX:
        query, key, value = query.float(), key.float(), value.float()
    heads, kv_heads = query.shape[1] // size, key.shape[1] // size
    shared = heads // kv_heads
    if query.device.type == "cpu" and _computed_in(query) == torch.float32:
        blocks = plan.blocks(kv_heads, shared)
        if blocks is not None:
            scale = size**-0.5 if scaling is None else scaling
            return short_attention(query, key, value, size, scale, blocks).to(dtype)
    queries, keys, values = (_lay_out(states, packing) for states in (query, key, value))
    shown_keys, shown_values = (_by_head(states[0], size) for states in (keys, values))
    if shared > 1:
        shown_keys = shown_keys.repeat_interleave(shared, dim=1)
        shown_values = shown_values.repeat_interleave(shared, dim=1)
    prompts = functional.scaled_dot_product_attention(
        _by_head(queries[0], size), shown_keys, shown_values, is_causal=True, scale=scaling
    )
    parts = [prompts.transpose(1, 2).flatten(2).flatten(0, 1)]
    if plan.visible is not None:
        # Query heads that share keys are treated as more tokens, so keys are not repeated for each head.
        rows, width = packing.inputs.shape
        shown_keys, shown_values = (
            _by_head(torch.cat([_of_each(of_prompts, packing.owners), own], dim=1), size)
            for of_prompts, own in (keys, values)
        )
        inputs = functional.scaled_dot_product_attention(
            _by_head(queries[1], size).reshape(rows, kv_heads, shared * width, size),
            shown_keys,
            shown_values,
            attn_mask=plan.mask(shared, _computed_in(query)),
            scale=scaling,
        )
        inputs = inputs.reshape(rows, heads, width, size)
        parts.append(inputs.transpose(1, 2).flatten(2).flatten(0, 1))
    return _restore(torch.cat(parts), packing).to(dtype)


def _computed_in(query: Tensor) -> torch.dtype:
    """The dtype that attention runs in. A mask of another dtype would be converted for each layer."""
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype


def _by_head(states: Tensor, size: int) -> Tensor:
    """[b, l, heads * size] -> [b, heads, l, size]"""
    return states.view(*states.shape[:2], -1, size).transpose(1, 2)


def _of_each(of_prompts: Tensor, owners: Tensor) -> Tensor:
    """States of prompts [R, P, W] -> those of each completion's prompt [B', P, W]."""
    # Not index_select, whose backward pass sums repeated rows in bfloat16, and on CUDA in no fixed order.
    return functional.embedding(owners, of_prompts.flatten(1)).view(-1, *of_prompts.shape[1:])


# Each token has one slot in prompts and inputs, and no two tokens share one. So these two are each other's
# gradient, except for padding slots. The backward pass of an ordinary look-up does not know that and sorts
# all indices, which took a fifth of a step on a GPU.


def _lay_out(flat: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """Flat states [N, W] -> those of prompts [R, P, W] and of completions' inputs [B', T', W].

    The result must not depend on padding slots.
    """
    return _LaidOut.apply(flat, packing)  # type: ignore[no-any-return,no-untyped-call]


def _restore(places: Tensor, packing: Packing) -> Tensor:
    """States [R * P + B' * T', W] of prompts and inputs, concatenated -> flat [N, W]."""
    return _Restored.apply(places, packing)  # type: ignore[no-any-return,no-untyped-call]


class _LaidOut(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, flat: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
        ctx.restored = packing.restored
        return functional.embedding(packing.prompts, flat), functional.embedding(packing.inputs, flat)

    @staticmethod
    def backward(ctx: Any, of_prompts: Tensor, of_inputs: Tensor) -> tuple[Tensor, None]:
        places = torch.cat([of_prompts.flatten(0, 1), of_inputs.flatten(0, 1)])
        return functional.embedding(ctx.restored, places), None


class _Restored(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, places: Tensor, packing: Packing) -> Tensor:
        ctx.restored, ctx.count = packing.restored, len(places)
        return functional.embedding(packing.restored, places)

    @staticmethod
    def backward(ctx: Any, grad_flat: Tensor) -> tuple[Tensor, None]:
        places = grad_flat.new_zeros(ctx.count, grad_flat.shape[1])
        return places.index_copy_(0, ctx.restored, grad_flat), None


@contextmanager
def attention_over_packed(config: PretrainedConfig) -> Iterator[None]:
    """Within the block, the model with this `config` uses `packed_attention`."""
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


AttentionInterface.register(NAME, packed_attention)
