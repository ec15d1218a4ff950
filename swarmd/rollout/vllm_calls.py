"""The calls to vLLM, and nothing else. Its copy of the model is inside this process, on one GPU.

Written from vLLM 0.31's source and documentation (Weight Transfer, Layerwise reloading, Sleep Mode,
Reproducibility), and run with vLLM 0.26.0 on an NVIDIA H200 (decision 26). Most tests use a stand-in.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import torch
from torch import Tensor

from swarmd.errors import ConfigError, ModelError

INSTALL = 'pip install "swarmd[vllm]" (Linux with an NVIDIA GPU), or use --engine auto'
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # so weights are passed as tensors and scheduling is repeatable
    "VLLM_NO_USAGE_STATS": "1",  # do not report usage to vLLM's developers
    "VLLM_CONFIGURE_LOGGING": "0",  # the daemon has its own log
}
LONGEST_THAT_FITS = -1  # by default vLLM refuses to start if the cache cannot hold a whole context
DISCARD_WEIGHTS = 2  # sleep level: the weights are sent again before the next call
FAILURES = (RuntimeError, ValueError, OSError, AssertionError)
"""Errors that vLLM raises for settings, models and devices that it does not support."""


@dataclass(frozen=True)
class Sampling:
    """How to sample one row. Temperature 0 is greedy. One of `eos_ids` ends a row and is its last token."""

    seed: int
    temperature: float
    max_tokens: int
    eos_ids: tuple[int, ...]


@dataclass(frozen=True)
class EngineRow:
    """A finished row: its tokens, and their logprobs after the temperature is applied."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]


class VllmCalls(Protocol):
    """A decoder with its own copy of the weights, asleep between calls. Every method can raise ModelError."""

    def wake(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        """Allocate memory, replace all weights, and clear everything cached under the old ones."""
        ...

    def submit(self, row: int, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        """Queue a row under its index."""
        ...

    def step(self) -> list[tuple[int, EngineRow]]:
        """Run one decoding step of all queued rows. Returns index and contents of each row that finished."""
        ...

    def abort(self, rows: Sequence[int]) -> None:
        """Drop queued rows."""
        ...

    def sleep(self) -> None:
        """Release the memory, including the weights."""
        ...


class LoadedVllm:
    """`vllm.LLM` behind `VllmCalls`."""

    def __init__(self, llm: Any, vllm: Any, directory: TemporaryDirectory[str]) -> None:
        self._llm = llm
        self._vllm = vllm
        self._directory = directory  # keeps the configuration that the model was built from

    def wake(self, weights: Iterable[tuple[str, Tensor]]) -> None:
        with _as_model_error("taking the trained weights"):
            self._llm.wake_up(tags=["weights"])
            self._llm.collective_rpc("reload_weights", kwargs={"weights_iterator": weights})
            self._llm.wake_up(tags=["kv_cache"])
            self._llm.reset_prefix_cache()

    def submit(self, row: int, prompt_ids: Sequence[int], sampling: Sampling) -> None:
        params = self._vllm.SamplingParams(
            n=1,
            temperature=sampling.temperature,
            top_p=1.0,
            top_k=0,
            min_p=0.0,
            seed=sampling.seed,
            max_tokens=sampling.max_tokens,
            stop_token_ids=list(sampling.eos_ids),
            ignore_eos=True,  # only our own end tokens end a row
            logprobs=0,  # only the sampled token's
            detokenize=False,
            output_kind=self._vllm.sampling_params.RequestOutputKind.FINAL_ONLY,
        )
        with _as_model_error("taking a prompt"):
            self._llm.llm_engine.add_request(str(row), {"prompt_token_ids": list(prompt_ids)}, params)

    def step(self) -> list[tuple[int, EngineRow]]:
        with _as_model_error("decoding"):
            outputs = self._llm.llm_engine.step()
        return [(int(output.request_id), _row(output.outputs[0])) for output in outputs if output.finished]

    def abort(self, rows: Sequence[int]) -> None:
        with _as_model_error("stopping"):
            self._llm.llm_engine.abort_request([str(row) for row in rows])

    def sleep(self) -> None:
        with _as_model_error("giving its memory back"):
            self._llm.sleep(level=DISCARD_WEIGHTS)


def start_vllm(model_config: Any, *, dtype: str, memory_share: float) -> LoadedVllm:
    """A sleeping engine for models with this configuration. Its initial weights are meaningless.

    memory_share: the share of the GPU's total memory to use while awake. Raises ConfigError if vLLM is not
    installed or cannot serve the model.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        vllm: Any = importlib.import_module("vllm")
        importlib.import_module("vllm.sampling_params")
    except ImportError as error:
        raise ConfigError(
            f"engine vllm was requested, but vLLM cannot be imported ({error}): {INSTALL}"
        ) from error
    # It warns at every call that tied and computed weights are not among those sent.
    logging.getLogger("vllm").setLevel(logging.ERROR)
    directory = TemporaryDirectory(prefix="swarmd-vllm-")
    model_config.save_pretrained(Path(directory.name))
    threads = torch.get_num_threads()
    with torch.random.fork_rng():  # vLLM seeds the process's global generators
        try:
            llm = vllm.LLM(
                model=directory.name,
                skip_tokenizer_init=True,
                load_format="dummy",
                dtype=dtype,
                max_model_len=LONGEST_THAT_FITS,
                gpu_memory_utilization=memory_share,
                enable_sleep_mode=True,
                enable_prefix_caching=True,  # a prompt is computed once for all its completions
                logprobs_mode="processed_logprobs",
                generation_config="vllm",
                seed=0,
                use_tqdm_on_load=False,  # the daemon's stderr is a log; vLLM 0.26 still draws bars for graphs
            )
            llm.sleep(level=DISCARD_WEIGHTS)
        except torch.OutOfMemoryError:
            raise
        except FAILURES as error:
            raise ConfigError(
                f"engine vllm cannot start: {error}: use a smaller model or --engine auto"
            ) from error
        finally:
            torch.set_num_threads(threads)  # vLLM changes it
    return LoadedVllm(llm, vllm, directory)


def _row(output: Any) -> EngineRow:
    tokens = tuple(output.token_ids)
    # Each position maps token ids to values. The sampled token is always included.
    logprobs = [values[token].logprob for values, token in zip(output.logprobs, tokens, strict=True)]
    return EngineRow(tokens, tuple(logprobs))


@contextmanager
def _as_model_error(doing: str) -> Any:
    """Raise vLLM's failures as ModelError. Out-of-memory errors pass through, so that the caller can
    retry."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except FAILURES as error:
        raise ModelError(f"vLLM failed while {doing}: {error}: use --engine auto") from error
