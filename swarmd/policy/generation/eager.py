"""Transformers' own forward, token by token, with a growing key-value cache: for any architecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from swarmd.policy.backend import Decoded, GenerationStoppedError, Progress, StopSignal, autocast
from swarmd.policy.sampling import greedy, sample


class EagerGenerator:
    """Decodes with whatever model transformers can cache."""

    def __init__(
        self, model: PreTrainedModel, *, pad_id: int, eos_ids: frozenset[int], dtype: torch.dtype
    ) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self._pad_id = pad_id
        self._eos_ids = torch.tensor(sorted(eos_ids), device=self.device)
        self._dtype = dtype

    @torch.no_grad()
    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        copies: int,
        max_new_tokens: int,
        *,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None = None,
        should_stop: StopSignal | None = None,
    ) -> list[Decoded]:
        rows = len(prompts) * copies
        tokens = torch.full((rows, max_new_tokens), self._pad_id, device=self.device)
        logprobs = torch.zeros(rows, max_new_tokens, device=self.device)
        lengths = torch.zeros(rows, dtype=torch.long, device=self.device)
        finished = torch.zeros(rows, dtype=torch.bool, device=self.device)
        uniforms = None if uniforms is None else uniforms.to(self.device)
        with autocast(self.device, self._dtype):
            state = _DecodeState.prefill(self.model, *_pad_left(prompts, self._pad_id, self.device), copies)
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
                if step + 1 == max_new_tokens or not state.advance(self.model, chosen, ~ended):
                    break
        return _collect(tokens.tolist(), logprobs.tolist(), lengths.tolist(), finished.tolist())


class _DecodeState:
    """The rows still being written: their numbers, cache, attention mask, positions and next-token logits."""

    def __init__(self, cache: DynamicCache, logits: Tensor, mask: Tensor) -> None:
        self.cache = cache
        self.logits = logits
        self.mask = mask
        self.position = mask.sum(dim=-1)
        self.active = torch.arange(len(mask), device=mask.device)

    @classmethod
    def prefill(
        cls, model: PreTrainedModel, ids: Tensor, mask: Tensor, positions: Tensor, copies: int
    ) -> _DecodeState:
        """Run every prompt once, then repeat its cache for its completions."""
        cache = DynamicCache(config=model.config)
        logits = _last_logits(model, ids, mask, positions, cache)
        cache.batch_repeat_interleave(copies)
        return cls(cache, logits.repeat_interleave(copies, dim=0), mask.repeat_interleave(copies, dim=0))

    def advance(self, model: PreTrainedModel, chosen: Tensor, going: Tensor) -> bool:
        """Feed the chosen tokens [R]; rows not `going` [R] leave the batch first. False: none is left."""
        if not bool(going.all()):
            keep = going.nonzero()[:, 0]
            if len(keep) == 0:
                return False
            self.cache.batch_select_indices(keep)
            chosen, self.mask = chosen[keep], self.mask[keep]
            self.position, self.active = self.position[keep], self.active[keep]
        self.mask = torch.cat([self.mask, self.mask.new_ones(len(chosen), 1)], dim=1)
        self.logits = _last_logits(model, chosen[:, None], self.mask, self.position[:, None], self.cache)
        self.position = self.position + 1
        return True


def _last_logits(model: Any, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
    """Logits [R, V] after the last of `ids` [R, S]; mask [R, cached + S], positions [R, S]."""
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = output.logits[:, -1]
    return logits


def _pad_left(
    prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, attention mask and positions, each [B, P]: every prompt ends in the last column."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad_id)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for number, prompt in enumerate(prompts):
        ids[number, width - len(prompt) :] = torch.tensor(prompt)
        mask[number, width - len(prompt) :] = 1
    positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
    return ids.to(device), mask.to(device), positions.to(device)


def _collect(
    tokens: list[list[int]], logprobs: list[list[float]], lengths: list[int], finished: list[bool]
) -> list[Decoded]:
    return [
        Decoded(tuple(tokens[row][:length]), tuple(logprobs[row][:length]), finished[row])
        for row, length in enumerate(lengths)
    ]
