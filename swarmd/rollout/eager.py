"""Transformers' own forward, token by token, with a growing key-value cache. Works for any architecture."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from swarmd.adapted import without_adapters
from swarmd.hardware.autocast import autocast
from swarmd.model.sight import Sight
from swarmd.rollout.interface import Decoded, GenerationStoppedError, Progress, RowEnd, StopSignal
from swarmd.rollout.padding import pad_left, positions_of
from swarmd.rollout.sampling import greedy, logprobs_of, sample
from swarmd.rollout.seeing import as_text, inputs_of


class EagerEngine:
    """Decodes with any model that transformers can cache."""

    def __init__(
        self,
        model: PreTrainedModel,
        *,
        pad_id: int,
        eos_ids: frozenset[int],
        dtype: torch.dtype,
        sight: Sight | None = None,
    ) -> None:
        """`sight`: how the model is shown images; None for a model without sight."""
        self.model = model
        self._sight = sight
        self.device = next(model.parameters()).device
        self._pad_id = pad_id
        self._eos_ids = torch.tensor(sorted(eos_ids), device=self.device)
        self._dtype = dtype

    @torch.no_grad()
    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        num_completions: int,
        max_new_tokens: int,
        *,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None = None,
        should_stop: StopSignal | None = None,
        row_end: RowEnd | None = None,
    ) -> list[Decoded]:
        rows = len(prompts) * num_completions
        tokens = torch.full((rows, max_new_tokens), self._pad_id, device=self.device)
        logprobs = torch.zeros(rows, max_new_tokens, device=self.device)
        lengths = torch.zeros(rows, dtype=torch.long, device=self.device)
        finished = torch.zeros(rows, dtype=torch.bool, device=self.device)
        uniforms = None if uniforms is None else uniforms.to(self.device)
        with autocast(self.device, self._dtype):
            state = _DecodeState.prefill(self.model, prompts, self._pad_id, num_completions, self._sight)
            for step in range(max_new_tokens):
                if should_stop is not None and should_stop.is_set():
                    raise GenerationStoppedError
                active = state.active
                if uniforms is None:
                    chosen, chosen_logprobs = greedy(state.logits)
                else:
                    chosen, chosen_logprobs = sample(state.logits, uniforms[active, step], temperature)
                tokens[active, step] = chosen
                logprobs[active, step] = chosen_logprobs
                lengths[active] = step + 1
                ended = torch.isin(chosen, self._eos_ids)
                finished[active] = ended
                if progress is not None:
                    progress(len(active))
                if row_end is not None:
                    written = tokens[active, : step + 1].tolist()
                    ended |= torch.tensor([row_end(row) for row in written], device=self.device)
                if step + 1 == max_new_tokens or not state.advance(self.model, chosen, ~ended):
                    break
        return _collect(tokens.tolist(), logprobs.tolist(), lengths.tolist(), finished.tolist())

    @torch.no_grad()
    def replay(self, prompts: Sequence[Sequence[int]], completions: Tensor) -> Tensor:
        """As `ReplayingEngine.replay`. Each row starts twice and one of the two leaves early, as rows do in
        `decode`."""
        twice = completions.to(self.device).repeat_interleave(2, dim=0)
        staying = torch.tensor([False, True] * len(prompts), device=self.device)
        with autocast(self.device, self._dtype):
            state = _DecodeState.prefill(self.model, prompts, self._pad_id, 2, self._sight)
            found = []
            for index in range(twice.shape[1]):
                tokens = twice[state.active, index]
                found.append(logprobs_of(state.logits, tokens)[staying[state.active]])
                state.advance(self.model, tokens, staying[state.active])
        return torch.stack(found, dim=1)


class _DecodeState:
    """The rows still being written: their indices, cache, attention mask, positions and next-token logits."""

    def __init__(
        self, cache: DynamicCache, logits: Tensor, mask: Tensor, position: Tensor, sight: Sight | None
    ) -> None:
        self.cache = cache
        self.logits = logits
        self.mask = mask
        self.position = position
        self.active = torch.arange(len(mask), device=mask.device)
        self._sight = sight

    @classmethod
    def prefill(
        cls,
        model: PreTrainedModel,
        prompts: Sequence[Sequence[int]],
        pad_id: int,
        num_completions: int,
        sight: Sight | None,
    ) -> _DecodeState:
        """Run every prompt once, then repeat its cache for all its completions."""
        cache = DynamicCache(config=model.config)
        ids, real = pad_left(prompts, pad_id, next(model.parameters()).device)
        mask = real.long()
        inputs = {"position_ids": positions_of(real)}
        inputs |= inputs_of(model, sight, ids, prompts, left_padded=True)
        logits = _last_logits(model, inputs, mask, cache)
        _take_rows(cache, torch.arange(len(ids), device=ids.device).repeat_interleave(num_completions))
        # A model that counts rows and columns of images goes on from the largest of its positions.
        position = inputs["position_ids"][..., -1].reshape(-1, len(ids)).amax(dim=0) + 1
        logits, mask, position = (
            each.repeat_interleave(num_completions, dim=0) for each in (logits, mask, position)
        )
        return cls(cache, logits, mask, position, sight)

    def advance(self, model: PreTrainedModel, chosen: Tensor, going: Tensor) -> bool:
        """Remove rows not in `going` [R], then feed the chosen tokens [R]. Returns False if no row is
        left."""
        if not bool(going.all()):
            keep = going.nonzero()[:, 0]
            if len(keep) == 0:
                return False
            _take_rows(self.cache, keep)
            chosen, self.mask = chosen[keep], self.mask[keep]
            self.position, self.active = self.position[keep], self.active[keep]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(chosen), 1)], dim=1)
        inputs = {"input_ids": as_text(self._sight, chosen[:, None]), "position_ids": self.position[:, None]}
        self.logits = _last_logits(model, inputs, self.mask, self.cache)
        self.position = self.position + 1
        return True


def _take_rows(cache: Any, rows: Tensor) -> None:
    """Replace the cache's rows by these [R], which may repeat. Of all methods that change a cache's rows,
    only this one works for every kind of layer."""
    cache.reorder_cache(rows)


def _last_logits(model: Any, inputs: dict[str, Any], mask: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [R, V] after the last of the tokens [R, S], whose mask is [R, cached + S]."""
    positions = inputs["position_ids"]
    output = model(
        **inputs,
        attention_mask=mask,
        use_cache=True,
        # As an index: transformers takes a slice for a number. PyTorch then multiplies bfloat16 on a CPU as
        # one product per row, each with its own copy of the output layer: 16 GB for 48 rows of Gemma 3.
        logits_to_keep=positions.new_tensor([positions.shape[-1] - 1]),
        **{_cache_argument(model): cache},
    )
    logits: Tensor = output.logits[:, -1]
    return logits


def _cache_argument(model: Any) -> str:
    """The name of the cache argument of the model's forward. Newer releases of transformers warn once per
    model about the old name, and will drop it."""
    return "cache" if "cache" in signature(without_adapters(model).forward).parameters else "past_key_values"


def _collect(
    tokens: list[list[int]], logprobs: list[list[float]], lengths: list[int], finished: list[bool]
) -> list[Decoded]:
    return [
        Decoded(tuple(tokens[row][:length]), tuple(logprobs[row][:length]), finished[row])
        for row, length in enumerate(lengths)
    ]
