"""Attention over packed tokens, plugged into transformers' models through its registry of implementations.

Each prompt attends to itself once. Each completion attends to its prompt and to itself. No token looks at
another completion, so nothing is computed for such pairs, and a group may have any length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PretrainedConfig

from swarmd.logprobs.packing import Packing
from swarmd.logprobs.short_attention import Blocks, short_attention

NAME = "swarmd_packed"
FLOAT32_TOKENS_MAX = 128
"""On a CPU, backward over shorter completions is up to three times slower in bfloat16 than in float32."""
MASK_ALIGNMENT = 16  # the numbers from one row of a mask to the next are a multiple of this
MEANINGLESS_HERE = frozenset(
    {"position_ids", "use_cache", "cache_position", "is_causal", "output_attentions", "output_hidden_states"}
)
"""Arguments that models pass down and that change nothing about attention over a packing."""


class UnknownAttentionError(ValueError):
    """The model needs something that attention over packed tokens does not do (a window, a soft cap)."""


@dataclass(frozen=True)
class AttentionPlan:
    """A packing and its mask, made once for all layers. Each layer keeps the mask for its backward pass."""

    packing: Packing
    visible: Tensor | None
    _masks: dict[tuple[int, torch.dtype], Tensor] = field(default_factory=dict)
    _blocks: dict[tuple[int, int], Blocks | None] = field(default_factory=dict)

    def blocks(self, kv_heads: int, shared: int) -> Blocks | None:
        """The blocks for `short_attention`, on the CPU; None if it does not pay."""
        if (kv_heads, shared) not in self._blocks:
            self._blocks[kv_heads, shared] = Blocks.of(self.packing, kv_heads, shared)
        return self._blocks[kv_heads, shared]

    def mask(self, shared: int, dtype: torch.dtype) -> Tensor:
        """To add to scores: [B' or 1, 1, shared * T', P + T'], for `shared` query heads one after another."""
        if self.visible is None:
            raise ValueError("no completion has inputs")
        made = self._masks.get((shared, dtype))
        if made is None:
            hidden = ~self.visible.repeat(1, 1, shared, 1)
            keys = hidden.shape[-1]
            # CUDA's kernel would copy a mask that is not aligned, for each layer.
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
    keys, values = (_gather(flat, packing.prompts, size) for flat in (key, value))
    if shared > 1:
        keys, values = (states.repeat_interleave(shared, dim=1) for states in (keys, values))
    queries = _gather(query, packing.prompts, size)
    prompts = functional.scaled_dot_product_attention(queries, keys, values, is_causal=True, scale=scaling)
    parts = [prompts.transpose(1, 2).flatten(2).flatten(0, 1)]
    if plan.visible is not None:
        seen = torch.cat([packing.prompts[packing.owners], packing.inputs], dim=1)
        keys, values = (_gather(flat, seen, size) for flat in (key, value))
        # Query heads that share keys take the place of more tokens, so keys are not repeated for each head.
        queries = _gather(query, packing.inputs, size)
        rows, width = packing.inputs.shape
        queries = queries.reshape(rows, kv_heads, shared * width, size)
        inputs = functional.scaled_dot_product_attention(
            queries, keys, values, attn_mask=plan.mask(shared, _computed_in(query)), scale=scaling
        )
        inputs = inputs.reshape(rows, heads, width, size)
        parts.append(inputs.transpose(1, 2).flatten(2).flatten(0, 1))
    return functional.embedding(packing.restored, torch.cat(parts)).to(dtype)


def _computed_in(query: Tensor) -> torch.dtype:
    """The dtype that attention runs in. A mask of another dtype would be converted for each layer."""
    kind = query.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype


def _gather(flat: Tensor, indices: Tensor, size: int) -> Tensor:
    """Flat states [N, heads * size] at indices [b, l] -> [b, heads, l, size]."""
    # An embedding look-up gives the same values as indexing, and backward sums repeated indices in parallel.
    return functional.embedding(indices, flat).view(*indices.shape, -1, size).transpose(1, 2)


@contextmanager
def attention_over_packed(config: PretrainedConfig) -> Iterator[None]:
    """While entered, the model with this `config` computes `packed_attention`."""
    before = config._attn_implementation
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before


AttentionInterface.register(NAME, packed_attention)
