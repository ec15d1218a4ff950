"""Our own decoding loop: prompts run once, finished rows leave, one working copy of the weights a call."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.policy.backend import Decoded, GenerationStoppedError, Progress, StopSignal
from swarmd.policy.generation.architecture import Decoder
from swarmd.policy.generation.batch import Batch
from swarmd.policy.generation.forward import LeanForward
from swarmd.policy.sampling import greedy, sample

ACCELERATOR_STEPS = 8  # tokens between looks at who is finished: each look waits for the accelerator


class LeanGenerator:
    """Decodes the architectures of `read_decoder`."""

    def __init__(self, decoder: Decoder, *, eos_ids: frozenset[int], dtype: torch.dtype) -> None:
        self._decoder = decoder
        self._dtype = dtype
        self._eos_ids = eos_ids
        accelerated = decoder.embedding.weight.device.type != "cpu"
        self.interval = ACCELERATOR_STEPS if accelerated else 1
        """Tokens between looks at who is finished."""

    @torch.inference_mode()
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
        """As `Generator.decode`; progress comes every `interval` tokens."""
        forward = LeanForward(self._decoder, self._dtype)
        order = sorted(range(len(prompts)), key=lambda number: len(prompts[number]))
        batch, logits = forward.start([prompts[number] for number in order], copies, max_new_tokens)
        logits = logits.repeat_interleave(copies, dim=0)
        rows = _Rows(
            [number * copies + copy for number in order for copy in range(copies)], batch, self._eos_ids
        )
        uniforms = None if uniforms is None else uniforms.to(forward.device)
        for step in range(max_new_tokens):
            if should_stop is not None and should_stop.is_set():
                raise GenerationStoppedError
            if uniforms is None:
                rows.write(*greedy(logits))
            else:
                rows.write(*sample(logits, uniforms[rows.numbers, step], temperature))
            last = step + 1 == max_new_tokens
            if last or (step + 1) % self.interval == 0:
                written = rows.drop_finished()
                if progress is not None:
                    progress(written)
            if last or not len(rows.numbers):
                break
            logits = forward.step(rows.tokens, batch)
        return rows.collect(len(prompts) * copies)


class _Rows:
    """What every row wrote. `numbers` [R] are those still writing, `tokens` [R] what they wrote last."""

    def __init__(self, numbers: Sequence[int], batch: Batch, eos_ids: frozenset[int]) -> None:
        device = batch.positions.device
        self.numbers = torch.tensor(numbers, device=device)
        self.tokens = self.numbers
        self._batch = batch
        self._ends = eos_ids
        self._eos_ids = torch.tensor(sorted(eos_ids), device=device)
        self._alive = torch.ones(len(numbers), dtype=torch.bool, device=device)
        self._uncounted = torch.zeros((), dtype=torch.long, device=device)
        self._written: list[tuple[Tensor, Tensor, Tensor]] = []

    def write(self, tokens: Tensor, logprobs: Tensor) -> None:
        """The next token [R] of every row. What a finished row writes is not read."""
        self._written.append((self.numbers, tokens, logprobs))
        self.tokens = tokens
        self._uncounted += self._alive.sum()
        self._alive &= ~torch.isin(tokens, self._eos_ids)

    def drop_finished(self) -> int:
        """Let finished rows leave the batch. Returns how many tokens were written since the last call."""
        written = int(self._uncounted)
        self._uncounted.zero_()
        if not bool(self._alive.all()):
            kept = self._batch.keep(self._alive)
            self.numbers, self.tokens, self._alive = self.numbers[kept], self.tokens[kept], self._alive[kept]
        return written

    def collect(self, rows: int) -> list[Decoded]:
        """What every row wrote, up to its end token, in the order of their numbers."""
        token_ids: list[list[int]] = [[] for _ in range(rows)]
        logprobs: list[list[float]] = [[] for _ in range(rows)]
        finished = [False] * rows
        for step in self._written:
            for number, token, logprob in zip(*(part.tolist() for part in step), strict=True):
                if not finished[number]:
                    token_ids[number].append(token)
                    logprobs[number].append(logprob)
                    finished[number] = token in self._ends
        return [
            Decoded(tuple(ids), tuple(nats), ended)
            for ids, nats, ended in zip(token_ids, logprobs, finished, strict=True)
        ]
