"""What computing with a language model means here, and the plain PyTorch way of doing it.

`Backend` is the seam for faster implementations: whatever they fuse, pack or capture, they decode and score
the same tokens with the same log-probabilities. Nothing here knows text, rewards or groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from swarmd.policy.sampling import greedy, sample

Progress = Callable[[int], None]
"""Receives the number of tokens decoded since the last call. Called once a decoding step."""


class StopSignal(Protocol):
    """The part of `threading.Event` that is needed."""

    def is_set(self) -> bool: ...


class GenerationStoppedError(Exception):
    """`should_stop` was set: nothing was generated. Not an error of anyone's, so not in the daemon's tree."""


@dataclass(frozen=True)
class Decoded:
    """One completion as tokens. The end-of-sequence token is the last one if and only if `finished`."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finished: bool


@dataclass(frozen=True)
class TokenRow:
    """A prompt and one completion of it, to be scored."""

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


class Backend(Protocol):
    """Decodes and scores with one model."""

    def decode(
        self,
        prompts: Sequence[Sequence[int]],
        copies: int,
        max_new_tokens: int,
        *,
        uniforms: Tensor | None,
        temperature: float,
        progress: Progress | None,
        should_stop: StopSignal | None,
    ) -> list[Decoded]:
        """`copies` completions of every prompt, prompt by prompt.

        uniforms [prompts * copies, >= max_new_tokens]; None decodes greedily. Raises GenerationStoppedError.
        """
        ...

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        """Log-probabilities [B, T] of the completions' tokens, and the mask [B, T] of what is a token.

        float32, differentiable where gradients are enabled; T is the longest completion, the rest is 0.
        """
        ...


class EagerBackend:
    """Transformers' own forward, token by token, with a growing key-value cache."""

    def __init__(
        self, model: PreTrainedModel, *, pad_id: int, eos_ids: frozenset[int], dtype: torch.dtype
    ) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self._pad_id = pad_id
        self._eos_ids = torch.tensor(sorted(eos_ids), device=self.device)
        self._dtype = dtype

    def _autocast(self) -> AbstractContextManager[object]:
        # What is trained stays float32 (small updates vanish in bfloat16); the matrix products are cast.
        if self._dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self._dtype)

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
        with self._autocast():
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

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        prompt_lengths = torch.tensor([len(row.prompt_ids) for row in rows], device=self.device)
        lengths = torch.tensor([len(row.completion_ids) for row in rows], device=self.device)
        width = max(len(row) for row in rows)
        ids = torch.full((len(rows), width), self._pad_id)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row.prompt_ids + row.completion_ids)
        ids = ids.to(self.device)
        # Padding is on the right, where causal attention never looks at it from a real token: no mask needed.
        # Logits are needed from the last token of the shortest prompt on.
        first = int(prompt_lengths.min()) - 1
        with self._autocast():
            logits: Tensor = self.model(input_ids=ids, use_cache=False, logits_to_keep=width - first).logits
        scaled = logits[:, :-1].float() / temperature
        targets = ids[:, first + 1 :]
        scored = scaled.gather(-1, targets[..., None])[..., 0] - scaled.logsumexp(
            dim=-1
        )  # [B, width - first - 1]
        token = torch.arange(int(lengths.max()), device=self.device)
        mask = token < lengths[:, None]
        index = (prompt_lengths[:, None] - 1 - first + token).clamp(max=scored.shape[1] - 1)
        return scored.gather(1, index).masked_fill(~mask, 0.0), mask


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
