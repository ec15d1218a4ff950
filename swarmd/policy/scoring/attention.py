"""Attention over packed tokens, plugged into transformers' models through its registry of implementations.

Each prompt attends to itself once; each completion attends to its prompt and to itself. No token looks at
another completion, so nothing is computed for such pairs, and a group may be as long as it likes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, PretrainedConfig

from swarmd.policy.scoring.packing import Packing

NAME = "swarmd_packed"
MEANINGLESS_HERE = frozenset(
    {"position_ids", "use_cache", "cache_position", "is_causal", "output_attentions", "output_hidden_states"}
)
"""What models hand down that changes nothing about attention over a packing."""


class UnknownAttentionError(Exception):
    """The model asks for something that attention over packed tokens does not do (a window, a soft cap)."""


@dataclass(frozen=True)
class AttentionPlan:
    """A packing and its mask, made once for all layers."""

    packing: Packing
    visible: Tensor | None

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
    packing = swarmd_packing.packing
    heads, size = query.shape[1], query.shape[3]
    flat_query, flat_key, flat_value = _flat(query), _flat(key), _flat(value)

    def attend(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        """Rows of flat places [b, q] that look at [b, k] -> [b * q, heads * d]."""
        k, v = (_gather(flat, keys, key.shape[1]) for flat in (flat_key, flat_value))
        repeats = heads // key.shape[1]
        if repeats > 1:
            k, v = (kv.repeat_interleave(repeats, dim=1) for kv in (k, v))
        out = functional.scaled_dot_product_attention(
            _gather(flat_query, queries, heads), k, v, attn_mask=mask, is_causal=mask is None, scale=scaling
        )
        return out.transpose(1, 2).reshape(-1, heads * size)

    parts = [attend(packing.prompts, packing.prompts, None)]
    if swarmd_packing.visible is not None:
        keys = torch.cat([packing.prompts[packing.owners], packing.inputs], dim=1)
        parts.append(attend(packing.inputs, keys, swarmd_packing.visible))
    out = functional.embedding(packing.restored, torch.cat(parts))
    return out.view(1, -1, heads, size), None


def _flat(states: Tensor) -> Tensor:
    """[1, heads, N, d] -> [N, heads * d]"""
    return states[0].transpose(0, 1).flatten(1)


def _gather(flat: Tensor, places: Tensor, heads: int) -> Tensor:
    """Flat states [N, heads * d] at places [b, l] -> [b, heads, l, d]."""
    # An embedding look-up: the same values as indexing, and its gradient adds up repeated places in parallel.
    return functional.embedding(places, flat).view(*places.shape, heads, -1).transpose(1, 2)


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
