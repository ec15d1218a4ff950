"""Transformers' continuous batching: paged key-value cache, prompts and decoding mixed in one batch.

Meant for a GPU and completions that differ much in length: a finished row's place goes to the next row. On a
CPU, where it is tested, it takes 3 to 4 times as long as `eager` (embedded model, 64 rows of 64 tokens).

What it cannot do as ours does: it draws with PyTorch's global generator, seeded here from the uniforms given,
so the same call writes the same text again, but a row's text depends on the rows beside it and on how many
prompts are decoded together. Its library keeps the sampled token's log-probability, which is used as it is.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedModel

from swarmd.errors import ConfigError, ModelError
from swarmd.policy.backend import Decoded, GenerationStoppedError, Progress, StopSignal
from swarmd.policy.generation.seeding import derive_seed

try:
    from transformers.generation.configuration_utils import ContinuousBatchingConfig
except ImportError:  # releases before it had a configuration of its own
    ContinuousBatchingConfig = None  # type: ignore[assignment,misc]

NEEDED_SETTINGS = frozenset(
    {
        *("seed", "return_logprobs", "auto_switch_to_flash", "safety_margin"),
        *("page_size", "num_blocks", "max_batch_tokens", "max_requests_per_batch"),
    }
)
"""Of ContinuousBatchingConfig: transformers 5.23 has them all; earlier releases lack one or another."""
PAGE_TOKENS = 32  # of the cache: half a page is lost on every row, and 32 is little beside an answer's length
BATCH_TOKENS_MIN = 512  # one forward pass: enough to fill the cores with prompts; its mask stays below 0.3 GB
POLL_S = 0.1  # how late a stop can be seen
LIBRARY_LOG = "ContinuousBatchingLogger"


class ContinuousGenerator:
    """Decodes with `transformers`' continuous batching. Raises ConfigError where this release has too little.

    `progress` is called when a row is finished, with its length; `should_stop` is seen within POLL_S and one
    forward pass.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        pad_id: int,
        eos_ids: frozenset[int],
        dtype: torch.dtype,
    ) -> None:
        missing = sorted(NEEDED_SETTINGS - _known_settings())
        if missing:
            raise ConfigError(
                f"generator continuous needs a newer transformers (here its settings have no {missing[0]}): "
                "pip install -U transformers, or use --generator auto"
            )
        # It prints to the terminal, tracebacks too, and the daemon has a log of its own: failures are raised.
        logging.getLogger(LIBRARY_LOG).setLevel(logging.CRITICAL)
        self.model = model
        self.device = next(model.parameters()).device
        self._pad_id = pad_id
        self._eos_ids = eos_ids
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
        """As `Generator.decode`. Raises torch.OutOfMemoryError, and ModelError where the library fails."""
        repeats, copies = (copies, 1) if uniforms is None else (1, copies)  # greedy copies are all alike
        longest = max(len(prompt) for prompt in prompts) + max_new_tokens
        settings = self._settings(len(prompts) * copies, longest, seed=derive_seed(uniforms))
        sampling: dict[str, Any] = (
            {} if uniforms is None else {"temperature": temperature, "top_k": 0, "top_p": 1.0}
        )
        generation = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=uniforms is not None,
            max_new_tokens=max_new_tokens,
            num_return_sequences=copies,
            eos_token_id=sorted(self._eos_ids),
            pad_token_id=self._pad_id,
            **sampling,
        )
        with self._own_randomness(), _running(self._working_model(), generation, settings) as manager:
            # Every request is queued before the loop starts: what shares a batch, and so the text, is then
            # decided by the requests alone and not by how fast they arrive.
            names = manager.add_requests([list(prompt) for prompt in prompts], max_new_tokens=max_new_tokens)
            manager.start()
            outputs = _collect(manager, len(prompts) * copies, progress, should_stop)
        decoded = [self._decoded(outputs[key]) for name in names for key in _copies_of(name, copies)]
        return [row for row in decoded for _ in range(repeats)]

    def _decoded(self, output: Any) -> Decoded:
        tokens = tuple(output.generated_tokens)
        return Decoded(tokens, tuple(output.logprobs), tokens[-1] in self._eos_ids)

    def _settings(self, rows: int, longest: int, *, seed: int) -> ContinuousBatchingConfig:
        """A cache that holds all rows to their end: left alone, the library takes most of the free memory."""
        return ContinuousBatchingConfig(
            seed=seed,
            return_logprobs=True,
            page_size=PAGE_TOKENS,
            num_blocks=rows * -(-longest // PAGE_TOKENS),
            safety_margin=0.0,  # of cache pages: none is needed where every row has its own
            max_batch_tokens=max(rows, BATCH_TOKENS_MIN),
            max_requests_per_batch=rows,
            auto_switch_to_flash=False,  # it would fetch compiled code from a hub
        )

    def _working_model(self) -> Any:
        """The model itself where it already has the plan's number type, else a copy in it for this call.

        The library decodes in a thread of its own, where autocast does not reach.
        """
        if isinstance(self.model, PeftModel):
            return self.model.get_base_model()  # the adapters are in its layers; they convert by themselves
        if self.model.dtype == self._dtype:
            return self.model
        memo: dict[int, Any] = {
            id(p): nn.Parameter(p.detach().to(self._dtype), requires_grad=False)
            for p in self.model.parameters()
        }
        return copy.deepcopy(self.model, memo)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """The library seeds PyTorch's global generators; they come back as they were."""
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            yield


def _known_settings() -> frozenset[str]:
    return (
        frozenset()
        if ContinuousBatchingConfig is None
        else frozenset(f.name for f in fields(ContinuousBatchingConfig))
    )


@contextmanager
def _running(model: Any, generation: GenerationConfig, settings: ContinuousBatchingConfig) -> Iterator[Any]:
    """The library's manager, not yet started; on leaving its thread has ended and its memory is free.

    The manager may exchange the model's attention implementation; it comes back as it was.
    """
    attention = model.config._attn_implementation
    try:
        manager = model.init_continuous_batching(
            generation_config=generation, continuous_batching_config=settings
        )
    except ValueError as error:
        raise ModelError(
            f"continuous batching does not take this model: {error}: use --generator auto"
        ) from error
    try:
        yield manager
    finally:
        if manager.is_running():
            manager.stop(block=True, hard_stop=True)
        manager.destroy()
        if model.config._attn_implementation != attention:
            model.set_attn_implementation(attention)


def _collect(
    manager: Any, rows: int, progress: Progress | None, should_stop: StopSignal | None
) -> dict[str, Any]:
    """Every row's output by request name."""
    outputs: dict[str, Any] = {}
    while len(outputs) < rows:
        if should_stop is not None and should_stop.is_set():
            raise GenerationStoppedError
        output = manager.get_result(timeout=POLL_S)
        if output is None:
            if not manager.is_running():
                raise _failure(manager, "its thread ended")
            continue
        if output.error is not None:
            raise _failure(manager, output.error)
        outputs[output.request_id] = output
        if progress is not None:
            progress(len(output.generated_tokens))
    return outputs


def _failure(manager: Any, message: str) -> Exception:
    """What to raise when the library's thread failed: it fails the requests first, then keeps the error."""
    manager.stop(block=True, hard_stop=True)
    error = manager.background_thread_status.fatal_error
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return torch.OutOfMemoryError(str(error))
    return ModelError(f"continuous batching failed ({error or message}): use --generator auto")


def _copies_of(name: str, copies: int) -> list[str]:
    """The library's names for the rows of one prompt: the request, and those forked from it."""
    return [name, *(f"{name}__child#{number}" for number in range(copies - 1))]
