"""The lean forward pass: computes transformers' hidden states and next-token logits in fewer steps.

Matrix products run in the working dtype. The residual stream keeps the embedding's dtype. Norms, rotations
and softmax are computed in float32. A training forward under autocast rounds in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # its usual name

from swarmd.llama.batch import Batch
from swarmd.llama.cache import KeyValueCache
from swarmd.llama.norm import DecodingNorm
from swarmd.llama.products import Product, make_product
from swarmd.llama.reading import Decoder, Layer
from swarmd.llama.rotary import rotate, rotations
from swarmd.rollout.padding import pad_left, positions_of

PREFILL_TOKENS_MAX = 2_048  # prompt tokens run together: few enough for memory, enough for full speed

Attention = Callable[[int, Tensor, Tensor, Tensor], Tensor]
"""layer, queries [N, heads, D], keys and values [N, kv heads, D] -> [N, heads * D], in the working dtype."""


class Slot(Protocol):
    """The slot for a layer's next token."""

    def append(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write the token [rows, kv heads, head size]. Returns the keys and values [rows, kv heads, columns,
        head size] that it attends to."""
        ...


class Rows(Protocol):
    """What one step needs to know about the rows that it continues: a `Batch`, or the same rows with a fixed
    shape (`replayed.py`)."""

    @property
    def rotations(self) -> Tensor:
        """[2, R, 1, head size], at each row's position."""
        ...

    @property
    def mask(self) -> Tensor | None:
        """[R, 1, 1, columns] to add to the scores of what `Slot.append` returns."""
        ...

    def next_column(self) -> Sequence[Slot]:
        """The slot for the next token of every row, layer by layer."""
        ...

    def advance(self) -> None:
        """Record that one token was added to every row."""
        ...


class _WorkingLayer:
    """One layer's weights in the form in which they are multiplied."""

    def __init__(self, layer: Layer, decoder: Decoder, dtype: torch.dtype) -> None:
        self.input_norm = DecodingNorm(layer.input_norm, dtype)
        self.feed_forward_norm = DecodingNorm(layer.feed_forward_norm, dtype)
        self.query_key_value: Product = make_product((layer.query, layer.key, layer.value), dtype)
        self.output: Product = make_product((layer.output,), dtype)
        self.gate_up: Product = make_product((layer.gate, layer.up), dtype)
        self.down: Product = make_product((layer.down,), dtype)
        self.activation: Any = F.silu if type(layer.activation) is nn.SiLU else layer.activation
        self.scale = layer.scale
        self.head_norm: tuple[Tensor, float] | None = None
        if layer.query_norm is not None and layer.key_norm is not None:
            query, key = DecodingNorm(layer.query_norm, dtype), DecodingNorm(layer.key_norm, dtype)
            weights = [query.weight] * decoder.heads + [key.weight] * decoder.kv_heads
            self.head_norm = torch.stack(weights).float(), query.epsilon


class LlamaForward:
    """A model's current weights, ready to decode one batch. Copies are freed with the object."""

    def __init__(self, decoder: Decoder, dtype: torch.dtype) -> None:
        self._decoder = decoder
        self._dtype = dtype
        self._embedding = decoder.embedding.weight.detach()
        self._layers = [_WorkingLayer(layer, decoder, dtype) for layer in decoder.layers]
        self._norm = DecodingNorm(decoder.norm, dtype)
        self._head = make_product((decoder.head,), dtype)
        self.device = self._embedding.device

    def start(
        self,
        prompts: Sequence[Sequence[int]],
        num_completions: int,
        new_tokens: int,
        *,
        zeroed: bool = False,
    ) -> tuple[Batch, Tensor]:
        """Run every prompt once. Returns a batch with `num_completions` rows per prompt, and the logits
        [prompts, V] after each prompt.

        Prompts must be sorted by length, longest last, so that prompts run together need little padding. The
        last of `new_tokens` is never fed back. `zeroed` is passed to the cache.
        """
        decoder = self._decoder
        lengths = [len(prompt) for prompt in prompts]
        cache = KeyValueCache(
            layers=len(self._layers),
            rows=len(prompts) * num_completions,
            kv_heads=decoder.kv_heads,
            columns=lengths[-1] + new_tokens - 1,
            head_size=decoder.head_size,
            dtype=self._dtype,
            device=self.device,
            zeroed=zeroed,
        )
        cache.filled = lengths[-1]
        every = torch.arange(cache.columns, device=self.device)
        rotation = rotations(decoder.rotary, every, self._embedding)
        last = []
        for start, stop in _prefill_batches(lengths):
            ids, real = pad_left(prompts[start:stop], 0, self.device)
            positions = positions_of(real).flatten()
            attend = self._prompt_attention(real, num_completions, cache, start * num_completions)
            hidden = self._run(ids.flatten(), rotation[:, positions], attend)
            last.append(hidden.view(*ids.shape, -1)[:, -1])
        return Batch(cache, lengths, num_completions, rotation), self._logits(torch.cat(last))

    def step(self, tokens: Tensor, rows: Rows) -> Tensor:
        """Logits [R, V] after adding one more token [R] to every row."""
        attend = self._cached_attention(rows.mask, rows.next_column())
        hidden = self._run(tokens, rows.rotations, attend)
        rows.advance()
        return self._logits(hidden)

    def _run(self, tokens: Tensor, rotation: Tensor, attend: Attention) -> Tensor:
        """Hidden states [N, hidden] of tokens [N], before the last norm."""
        decoder, dtype = self._decoder, self._dtype
        heads, kv_heads = decoder.heads, decoder.kv_heads
        x = F.embedding(tokens, self._embedding)
        count = x.shape[0]
        for index, layer in enumerate(self._layers):
            projected = layer.query_key_value(layer.input_norm(x)).view(count, -1, decoder.head_size)
            turned, values = projected.split_with_sizes((heads + kv_heads, kv_heads), dim=1)
            turned = turned.float()
            if layer.head_norm is not None:
                weight, epsilon = layer.head_norm
                turned = F.rms_norm(turned, (decoder.head_size,), None, epsilon).to(dtype) * weight
            turned = rotate(turned, rotation).to(dtype)
            queries, keys = turned.split_with_sizes((heads, kv_heads), dim=1)
            attended = attend(index, queries, keys, values)
            layer.output.add_to(x, attended)
            gate, up = layer.gate_up(layer.feed_forward_norm(x)).chunk(2, dim=-1)
            layer.down.add_to(x, layer.activation(gate).mul_(up))
        return x

    def _logits(self, hidden: Tensor) -> Tensor:
        return self._head(self._norm(hidden))

    def _prompt_attention(
        self, real: Tensor, num_completions: int, cache: KeyValueCache, first_row: int
    ) -> Attention:
        """Causal attention inside left-padded prompts; real [P, S] marks tokens."""
        prompts, width = real.shape
        group = self._decoder.heads // self._decoder.kv_heads
        mask = None
        if not bool(real.all()):
            earlier = torch.ones(width, width, dtype=torch.bool, device=real.device).tril()
            # Without `itself`, padding would attend to nothing.
            itself = torch.eye(width, dtype=torch.bool, device=real.device)
            mask = (earlier & real[:, None] | itself)[:, None]

        def attend(index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            q, k, v = (
                part.reshape(prompts, width, *part.shape[1:]).transpose(1, 2)
                for part in (queries, keys, values)
            )
            cache.write_prompts(index, first_row, k, v, num_completions)
            attended = F.scaled_dot_product_attention(
                q,
                k.repeat_interleave(group, dim=1),
                v.repeat_interleave(group, dim=1),
                attn_mask=mask,
                is_causal=mask is None,
                scale=self._layers[index].scale,
            )
            return attended.transpose(1, 2).reshape(prompts * width, -1)

        return attend

    def _cached_attention(self, mask: Tensor | None, slots: Sequence[Slot]) -> Attention:
        """Attention from one new token per row to all tokens before it. Query heads that share keys and
        values are treated as several tokens, so nothing is repeated."""
        decoder = self._decoder
        shared = (decoder.kv_heads, decoder.heads // decoder.kv_heads)

        def attend(index: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            every_key, every_value = slots[index].append(keys, values)
            attended = F.scaled_dot_product_attention(
                queries.view(queries.shape[0], *shared, -1),
                every_key,
                every_value,
                attn_mask=mask,
                scale=self._layers[index].scale,
            )
            return attended.reshape(queries.shape[0], -1)

        return attend


def _prefill_batches(lengths: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of prompts, each with at most PREFILL_TOKENS_MAX padded tokens or a single prompt."""
    ranges, start = [], 0
    for index, length in enumerate(lengths):
        if index > start and (index + 1 - start) * length > PREFILL_TOKENS_MAX:
            ranges.append((start, index))
            start = index
    return [*ranges, (start, len(lengths))]
