"""Our own decoding loop: prompts run once, finished rows leave, and each call makes one working copy of
weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.llama.batch import Batch
from swarmd.llama.forward import LlamaForward
from swarmd.llama.reading import Decoder
from swarmd.llama.replayed import GrowingSteps, ReplayedSteps, Steps
from swarmd.llama.text import Text
from swarmd.rollout.interface import Decoded, GenerationStoppedError, Progress, RowEnd, StopSignal
from swarmd.rollout.sampling import greedy, logprobs_of, sample

ACCELERATOR_STEPS = 8  # tokens between checks for finished rows, because each check waits for the accelerator


class LlamaEngine:
    """Decodes the architectures of `read_decoder`."""

    def __init__(self, decoder: Decoder, *, eos_ids: frozenset[int], dtype: torch.dtype) -> None:
        self._decoder = decoder
        self._dtype = dtype
        self._eos_ids = eos_ids
        device = decoder.embedding.weight.device
        self.interval = 1 if device.type == "cpu" else ACCELERATOR_STEPS
        """Tokens between checks for finished rows."""
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        """The stream in which steps are captured as CUDA graphs; None if they are not."""
        self.fixed = self.stream is not None
        """Whether all steps have the same shape. Graphs need that; tests run it on a CPU."""

    @torch.inference_mode()
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
        """As `Engine.decode`. `progress` is called every `interval` tokens."""
        forward = LlamaForward(self._decoder, self._dtype)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        ordered = [prompts[index] for index in order]
        batch, logits = forward.start(ordered, num_completions, max_new_tokens, zeroed=self.fixed)
        steps = self._steps(forward, batch)
        logits = logits.repeat_interleave(num_completions, dim=0)
        indices = [index * num_completions + copy for index in order for copy in range(num_completions)]
        rows = _Rows(indices, batch, self._eos_ids, uniforms, row_end)
        for step in range(max_new_tokens):
            if should_stop is not None and should_stop.is_set():
                raise GenerationStoppedError
            rows.write(logits, step, temperature)
            last = step + 1 == max_new_tokens
            if last or (step + 1) % self.interval == 0:
                written = rows.drop_finished(steps)
                if progress is not None:
                    progress(written)
            if last or not rows.indices:
                break
            logits = steps(rows.tokens)
        return rows.collect()

    @torch.inference_mode()
    def replay(self, prompts: Sequence[Sequence[int]], completions: Tensor) -> Tensor:
        """As `ReplayingEngine.replay`."""
        forward = LlamaForward(self._decoder, self._dtype)
        order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
        completions = completions.to(forward.device)
        ordered = [prompts[index] for index in order]
        batch, logits = forward.start(ordered, 1, completions.shape[1] + 1, zeroed=self.fixed)
        steps = self._steps(forward, batch)
        found = []
        for tokens in completions[order].unbind(dim=1):
            found.append(logprobs_of(logits, tokens))
            logits = steps(tokens)
        return torch.stack(found, dim=1)[torch.tensor(order, device=forward.device).argsort()]

    def _steps(self, forward: LlamaForward, batch: Batch) -> Steps:
        if self.fixed:
            return ReplayedSteps(forward, batch, self.stream)
        return GrowingSteps(forward, batch)


class _Rows:
    """What every row wrote. `indices` are the rows still writing, `tokens` [R] their latest tokens, `draws`
    [R, tokens] their uniforms."""

    def __init__(
        self,
        indices: Sequence[int],
        batch: Batch,
        eos_ids: frozenset[int],
        uniforms: Tensor | None,
        row_end: RowEnd | None,
    ) -> None:
        device = batch.positions.device
        self.indices = list(indices)
        self.draws = None if uniforms is None else uniforms[self.indices].to(device)
        self.tokens = batch.positions
        self._batch = batch
        self._ends = eos_ids
        self._row_end = row_end
        self._unread: list[tuple[Tensor, Tensor]] = []
        self._texts = {index: Text() for index in sorted(indices)}

    def write(self, logits: Tensor, step: int, temperature: float) -> None:
        """Choose the next token [R] of every row. Tokens of finished rows are ignored."""
        draws = self.draws
        chosen = greedy(logits) if draws is None else sample(logits, draws[:, step], temperature)
        self._unread.append(chosen)
        self.tokens = chosen[0]

    def drop_finished(self, steps: Steps) -> int:
        """Read the written tokens, and let finished rows leave the batch if `steps` decides so. Returns the
        number of tokens written since the last call."""
        written = 0
        texts = [self._texts[index] for index in self.indices]
        # On an accelerator, the host waits here.
        unread = [torch.stack(part).tolist() for part in zip(*self._unread, strict=True)]
        self._unread.clear()
        for tokens, logprobs in zip(*unread, strict=True):
            for text, token, logprob in zip(texts, tokens, logprobs, strict=True):
                if not text.ended:
                    text.write(token, logprob, self._ends, self._row_end)
                    written += 1
        alive = [not text.ended for text in texts]
        if steps.leaves(sum(alive)):
            kept = self._batch.keep(torch.tensor(alive, device=self.tokens.device))
            self.indices = [self.indices[row] for row in kept.tolist()]
            self.tokens = self.tokens[kept]
            self.draws = None if self.draws is None else self.draws[kept]
        return written

    def collect(self) -> list[Decoded]:
        """The tokens of every row up to its end token, in the order of the rows' indices."""
        return [text.decoded() for text in self._texts.values()]
