"""Attention over short completions on a CPU, with explicit scores and an explicit backward pass.

For blocks of a few tokens, PyTorch's kernel spends its time outside the products, and each completion needs a
copy of its prompt's keys. Here, all completions of a prompt multiply with its keys at once, nothing is
copied, and each gradient is written once. The scores are kept in float32, so rows must be short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from swarmd.logprobs.packing import Packing

TOKENS_MAX = 48  # per completion; at 64, PyTorch's kernel is as fast on the embedded model's heads
PROMPT_TOKENS_MAX = 320  # scores are kept per head: 0.4 MB per prompt. At 300 both are equally fast
LAID_OUT_MAX = 2  # slots per completion, if prompts have unequal numbers of completions


@dataclass(frozen=True)
class Rows:
    """How the rows [N * heads, d] of all tokens' heads are arranged, head by head, and restored."""

    laid: Tensor
    """[L] the row in each slot: prompts [R, kv heads, shared, P], then completions [R, kv heads, G, shared,
    T]. A padding slot has an arbitrary row."""
    back: Tensor
    """[N * heads] the slot of each row."""
    filled: Tensor | None
    """Padding slots, which hold no token; None if there are none."""


@dataclass(frozen=True)
class Blocks:
    """Prompts and completions as blocks of equal size: R prompts of P tokens, each with G completions of T
    tokens."""

    batch: int
    """Prompts times key heads."""
    per_prompt: int
    """G"""
    prompt_queries: int
    """Rows of a prompt's queries that share its keys: query heads per key head, times P."""
    prompt_keys: int
    """P"""
    queries: Rows
    keys: Rows
    prompt_mask: Tensor
    """Added to prompts' scores: [shared * P, P]."""
    own_mask: Tensor
    """Added to the scores of a completion's own tokens: [shared * T, T]."""
    length_mask: Tensor | None
    """Added to scores of prompts' tokens: [batch, 1, P]; None if all prompts with completions are equally
    long."""

    @classmethod
    def of(cls, packing: Packing, kv_heads: int, shared: int) -> Blocks | None:
        """None if rows are too long, or their numbers too unequal, for this to be faster."""
        prompts, width = packing.prompts.shape
        completions, tokens = packing.inputs.shape
        if not 0 < tokens <= TOKENS_MAX or width > PROMPT_TOKENS_MAX:
            return None
        counts = torch.bincount(packing.owners, minlength=prompts)
        most = int(counts.max())
        followed = counts > 0
        if int(followed.sum()) * most > LAID_OUT_MAX * completions:
            return None
        count = len(packing.ids)
        flat = torch.full((prompts * width + completions * tokens,), -1)
        flat[packing.restored] = torch.arange(count)
        in_prompts, in_completions = flat[: prompts * width], flat[prompts * width :]
        in_prompts = in_prompts.view(prompts, width)
        slots = torch.arange(completions) - (counts.cumsum(0) - counts)[packing.owners]
        grid = torch.full((prompts, most, tokens), -1)
        grid[packing.owners, slots] = in_completions.view(completions, tokens)
        hidden = in_prompts < 0
        return cls(
            batch=prompts * kv_heads,
            per_prompt=most,
            prompt_queries=shared * width,
            prompt_keys=width,
            queries=_rows(in_prompts, grid, count, kv_heads, shared),
            keys=_rows(in_prompts, grid, count, kv_heads, 1),
            prompt_mask=_causal(width).repeat(shared, 1),
            own_mask=_causal(tokens).repeat(shared, 1),
            length_mask=_mask(hidden).repeat_interleave(kv_heads, 0)[:, None]
            if hidden[followed].any()
            else None,
        )


def short_attention(
    query: Tensor, key: Tensor, value: Tensor, size: int, scaling: float, blocks: Blocks
) -> Tensor:
    """Float32 query [N, heads * size], key and value [N, kv heads * size] -> [N, heads * size].

    Prompts attend to themselves, completions to their prompt and themselves.
    """
    return _ShortAttention.apply(query, key, value, size, scaling, blocks)  # type: ignore[no-any-return,no-untyped-call]


class _ShortAttention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, size: int, scaling: float, blocks: Blocks
    ) -> Tensor:
        q, k, v = (
            _Laid(states.reshape(-1, size).index_select(0, rows.laid), length, blocks)
            for states, rows, length in (
                (query, blocks.queries, blocks.prompt_queries),
                (key, blocks.keys, blocks.prompt_keys),
                (value, blocks.keys, blocks.prompt_keys),
            )
        )
        scores = torch.baddbmm(blocks.prompt_mask, q.prompts, k.prompts.mT, alpha=scaling)
        prompt_weights = scores.softmax(dim=-1)
        # Without a mask, other numbers are passed in its place and multiplied by zero.
        masked = blocks.length_mask is not None
        of_prompts = torch.baddbmm(
            blocks.length_mask if masked else scores[:, :1],  # type: ignore[arg-type]
            q.together,
            k.prompts.mT,
            beta=int(masked),
            alpha=scaling,
        )
        of_own = torch.baddbmm(blocks.own_mask, q.own, k.own.mT, alpha=scaling)
        weights = _side_by_side(of_prompts, of_own).softmax(dim=-1)
        on_prompts, on_own = _apart(weights, blocks)
        out = _Laid(torch.empty_like(q.rows), blocks.prompt_queries, blocks)
        torch.bmm(prompt_weights, v.prompts, out=out.prompts)
        torch.bmm(on_prompts, v.prompts, out=out.together)
        out.own.baddbmm_(on_own, v.own)
        ctx.save_for_backward(q.rows, k.rows, v.rows, prompt_weights, weights)
        ctx.blocks, ctx.scaling, ctx.size = blocks, scaling, size
        return out.rows.index_select(0, blocks.queries.back).view_as(query)

    @staticmethod
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor | None, ...]:
        q_rows, k_rows, v_rows, prompt_weights, weights = ctx.saved_tensors
        blocks: Blocks = ctx.blocks
        scaling: float = ctx.scaling
        lengths = (blocks.prompt_queries, blocks.prompt_keys, blocks.prompt_keys)
        laid = [_Laid(r, n, blocks) for r, n in zip((q_rows, k_rows, v_rows), lengths, strict=True)]
        q, k, v = laid
        grad_q, grad_k, grad_v = (_Laid(torch.empty_like(x.rows), x.length, blocks) for x in laid)
        grad_rows = grad_out.reshape(-1, ctx.size).index_select(0, blocks.queries.laid)
        if blocks.queries.filled is not None:
            grad_rows.index_fill_(0, blocks.queries.filled, 0.0)
        grad = _Laid(grad_rows, blocks.prompt_queries, blocks)

        grad_scores = _grad_scores(torch.bmm(grad.prompts, v.prompts.mT), prompt_weights)
        grad_q.prompts.baddbmm_(grad_scores, k.prompts, beta=0, alpha=scaling)
        grad_k.prompts.baddbmm_(grad_scores.mT, q.prompts, beta=0, alpha=scaling)
        torch.bmm(prompt_weights.mT, grad.prompts, out=grad_v.prompts)

        grad_weights = _side_by_side(torch.bmm(grad.together, v.prompts.mT), torch.bmm(grad.own, v.own.mT))
        grad_prompt_scores, grad_own_scores = _apart(_grad_scores(grad_weights, weights), blocks)
        grad_q.together.baddbmm_(grad_prompt_scores, k.prompts, beta=0, alpha=scaling)
        grad_q.own.baddbmm_(grad_own_scores, k.own, alpha=scaling)
        grad_k.prompts.baddbmm_(grad_prompt_scores.mT, q.together, alpha=scaling)
        grad_k.own.baddbmm_(grad_own_scores.mT, q.own, beta=0, alpha=scaling)
        on_prompts, on_own = _apart(weights, blocks)
        grad_v.prompts.baddbmm_(on_prompts.mT, grad.together)
        torch.bmm(on_own.mT, grad.own, out=grad_v.own)

        backs = (blocks.queries.back, blocks.keys.back, blocks.keys.back)
        grad_flat = (x.rows.index_select(0, b) for x, b in zip((grad_q, grad_k, grad_v), backs, strict=True))
        return *(rows.view(len(grad_out), -1) for rows in grad_flat), None, None, None


class _Laid:
    """Views of arranged rows [L, d]. `length` rows of each block belong to a prompt."""

    def __init__(self, rows: Tensor, length: int, blocks: Blocks) -> None:
        size = rows.shape[1]
        self.rows = rows
        self.length = length
        prompts, completions = rows[: blocks.batch * length], rows[blocks.batch * length :]
        self.prompts = prompts.view(blocks.batch, length, size)
        """[batch, length, d]"""
        self.together = completions.view(blocks.batch, -1, size)
        """[batch, all rows of a prompt's completions, d]"""
        self.own = completions.view(blocks.batch * blocks.per_prompt, -1, size)
        """[batch * G, rows of a completion, d]"""


def _side_by_side(of_prompts: Tensor, of_own: Tensor) -> Tensor:
    """Scores [batch, G * n, P] and [batch * G, n, T] -> [batch * G, n, P + T]."""
    return torch.cat([of_prompts.view(*of_own.shape[:2], -1), of_own], dim=-1)


def _apart(scores: Tensor, blocks: Blocks) -> tuple[Tensor, Tensor]:
    """The inverse of `_side_by_side`, as views."""
    together = scores.view(blocks.batch, -1, scores.shape[-1])
    return together[..., : blocks.prompt_keys], scores[..., blocks.prompt_keys :]


def _grad_scores(grad_weights: Tensor, weights: Tensor) -> Tensor:
    """The gradient of scores, given the gradient of their softmax."""
    return torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)


def _rows(in_prompts: Tensor, in_completions: Tensor, count: int, kv_heads: int, shared: int) -> Rows:
    """Rows of `count` tokens' heads. Prompts [R, P] and completions [R, G, T] contain token indices, or
    -1."""
    heads = kv_heads * shared
    head = torch.arange(heads).view(kv_heads, shared)
    laid = torch.cat(
        [
            (in_prompts[:, None, None] * heads + head[..., None]).flatten(),
            (in_completions[:, None, :, None] * heads + head[:, None, :, None]).flatten(),
        ]
    )
    places = (laid >= 0).nonzero()[:, 0]
    back = torch.empty(count * heads, dtype=torch.long)
    back[laid[places]] = places
    filled = None if len(places) == len(laid) else (laid < 0).nonzero()[:, 0]
    return Rows(laid.clamp_(min=0), back, filled)


def _causal(width: int) -> Tensor:
    return _mask(torch.ones(width, width, dtype=torch.bool).triu(1))


def _mask(hidden: Tensor) -> Tensor:
    return torch.zeros(hidden.shape).masked_fill_(hidden, float("-inf"))
