"""Decoding by `native.cpp`: a step of all rows is one call, which reads the weights as the model stores them.

For float32 on a CPU. Without the library, or for other models, `decoding.py` decodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.llama.library import NativeError, kernels, library
from swarmd.llama.native_batch import NativeBatch
from swarmd.llama.reading import Decoder, is_silu
from swarmd.llama.text import Text
from swarmd.rollout.interface import Decoded, GenerationStoppedError, Progress, RowEnd, StopSignal


class NativeEngine:
    """Decodes the architectures of `read_decoder`. Raises NativeError if it cannot."""

    def __init__(self, decoder: Decoder, *, eos_ids: frozenset[int], dtype: torch.dtype) -> None:
        hindrance = why_not_native(decoder, decoder.embedding.weight.device.type, dtype)
        if hindrance is not None:
            raise NativeError(hindrance)
        self._library = library()
        self._decoder = decoder
        self._eos_ids = eos_ids
        self.narrow = 0
        """How many of this CPU's instruction sets to skip, widest first. Tests use it to run all kernels."""

    @property
    def kernels(self) -> str:
        """The instruction set in use."""
        return kernels(self.narrow)

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
        """As `Engine.decode`. `should_stop` is also checked before each prompt."""
        texts = [Text() for _ in range(len(prompts) * num_completions)]
        rows = torch.arange(len(texts))
        draws = None if uniforms is None else uniforms[:, :max_new_tokens].float().t().contiguous()
        with NativeBatch(
            self._library, self._decoder, prompts, num_completions, max_new_tokens, narrow=self.narrow
        ) as batch:
            for index in range(len(prompts)):
                _stop_if_set(should_stop)
                batch.run_prompt(index)
            for step in range(max_new_tokens):
                _stop_if_set(should_stop)
                now = None if draws is None else draws[step]
                tokens, logprobs = batch.write(rows, draws=now, temperature=temperature)
                writing = [texts[row] for row in rows.tolist()]
                for text, token, logprob in zip(writing, tokens.tolist(), logprobs.tolist(), strict=True):
                    text.write(token, logprob, self._eos_ids, row_end)
                if progress is not None:
                    progress(len(writing))
                alive = [not text.ended for text in writing]
                if not any(alive):
                    break
                if not all(alive):
                    staying = torch.tensor(alive)
                    rows = rows[staying]
                    draws = None if draws is None else draws[:, staying]
        return [text.decoded() for text in texts]

    @torch.inference_mode()
    def replay(self, prompts: Sequence[Sequence[int]], completions: Tensor) -> Tensor:
        """As `ReplayingEngine.replay`. Each row starts twice and one of the two leaves early, as rows do in
        `decode`."""
        rows = torch.arange(2 * len(prompts))
        found = []
        with NativeBatch(
            self._library, self._decoder, prompts, 2, completions.shape[1], narrow=self.narrow
        ) as batch:
            for index in range(len(prompts)):
                batch.run_prompt(index)
            for tokens in completions.t():
                _, logprobs = batch.write(rows, given=tokens[rows // 2])
                staying = rows % 2 == 1
                found.append(logprobs[staying])
                rows = rows[staying]
        return torch.stack(found, dim=1)


def why_not_native(decoder: Decoder, device: str, dtype: torch.dtype) -> str | None:
    """Why native decoding is not possible on this device with products in `dtype`; None if no reason is
    known. The model may still be on the meta device."""
    if device != "cpu":
        return f"the model is on {device}"
    if dtype != torch.float32:
        return f"products are in {str(dtype).removeprefix('torch.')}"
    for layer in decoder.layers:
        if not is_silu(layer.activation):
            return f"its activation is {type(layer.activation).__name__}"
    try:
        library()
    except NativeError as error:
        return str(error)
    return None


def _stop_if_set(should_stop: StopSignal | None) -> None:
    if should_stop is not None and should_stop.is_set():
        raise GenerationStoppedError
