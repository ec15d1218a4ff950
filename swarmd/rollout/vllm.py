"""vLLM as an engine. Its copy of the model gets the trained weights before every call, and sleeps after it.

An optional extra, for Linux with one NVIDIA GPU. Adapters are merged into the copy. Each row is sampled with
its own seed, derived from the row's uniforms. vLLM reproduces text only on the same GPU and release. It ran
on one NVIDIA H200 (decision 26). All tests but `tests/cuda/test_vllm.py` use a stand-in for vLLM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swarmd.adapted import without_adapters
from swarmd.errors import ConfigError
from swarmd.model.sizing import on_meta, shape_of
from swarmd.rollout.interface import Decoded, GenerationStoppedError, Progress, RowEnd, StopSignal
from swarmd.rollout.merging import merged_weights
from swarmd.rollout.seeding import derive_seed
from swarmd.rollout.vllm_calls import Sampling, VllmCalls, start_vllm

if TYPE_CHECKING:
    from peft import PeftModel

TEMPERATURE_MIN, TEMPERATURE_MAX = 0.01, 2.0  # vLLM's limits: it raises lower values to 0.01, refuses higher
SHARE_MAX = 0.9  # of the GPU's memory; CUDA itself and the allocator need the rest
SPARE_BYTES = 2**33  # for vLLM's activations: 16,384 tokens of prompts, logits of 1,024 rows; most need less
ADAM_BYTES = 8  # per trained weight, for its two moments, which do not exist yet when the engine starts
GIB = 2**30


class VllmEngine:
    """Decodes with `VllmCalls`. `progress` is called when a row is finished, with its length."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        *,
        eos_ids: frozenset[int],
        dtype: torch.dtype,
        engine: VllmCalls,
    ) -> None:
        self.model = model
        self._eos_ids = tuple(sorted(eos_ids))
        self._dtype = dtype
        self._engine = engine

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
        row_end: RowEnd | None = None,  # noqa: ARG002  vLLM reports a row only when it is finished
    ) -> list[Decoded]:
        """As `Engine.decode`, but ignores `row_end`. Raises ModelError if vLLM fails, and
        torch.OutOfMemoryError."""
        going = set(range(len(prompts) * num_completions))
        finished: dict[int, Decoded] = {}
        try:
            self._engine.wake(merged_weights(self.model, self._dtype))
            for row in sorted(going):
                seed = derive_seed(None if uniforms is None else uniforms[row])
                heat = 0.0 if uniforms is None else temperature
                self._engine.submit(
                    row, prompts[row // num_completions], Sampling(seed, heat, max_new_tokens, self._eos_ids)
                )
            while going:
                if should_stop is not None and should_stop.is_set():
                    raise GenerationStoppedError
                for row, output in self._engine.step():
                    ended = output.token_ids[-1] in self._eos_ids
                    finished[row] = Decoded(output.token_ids, output.logprobs, ended)
                    going.discard(row)
                    if progress is not None:
                        progress(len(output.token_ids))
        finally:
            if going:
                self._engine.abort(sorted(going))
            self._engine.sleep()
        return [finished[row] for row in sorted(finished)]


def start_vllm_engine(
    model: PreTrainedModel | PeftModel,
    *,
    eos_ids: frozenset[int],
    dtype: torch.dtype,
    temperature: float,
    memory_bytes: int | None,
    decode_tokens: int | None,
) -> VllmEngine:
    """Start vLLM alongside a model that is already on the GPU.

    memory_bytes: the GPU memory that this process may use in total; None for no limit. decode_tokens: the
    most tokens in a call, prompts included; None for as many as fit. A call with more still works, but
    some rows wait for others. Raises ConfigError if vLLM cannot work here.
    """
    device = next(model.parameters()).device
    check_possible(device, temperature)
    total = torch.cuda.get_device_properties(device).total_memory
    limit = total if memory_bytes is None else memory_bytes
    cache = None if decode_tokens is None else decode_tokens * token_bytes(model, dtype)
    share = memory_share(model, total_bytes=total, memory_bytes=limit, dtype=dtype, cache_bytes=cache)
    engine = start_vllm(model.config, dtype=str(dtype).removeprefix("torch."), memory_share=share)
    return VllmEngine(model, eos_ids=eos_ids, dtype=dtype, engine=engine)


def check_possible(device: torch.device, temperature: float) -> None:
    """Raise ConfigError, naming the setting, for a device or temperature that vLLM does not support."""
    if device.type != "cuda":
        raise ConfigError(
            f"engine vllm needs an NVIDIA GPU, but device is {device.type}: use --engine auto, or "
            "--device cuda"
        )
    if device.index not in (None, 0):
        raise ConfigError(
            f"engine vllm uses the first visible GPU, but device is {device}: start with "
            f"CUDA_VISIBLE_DEVICES={device.index} and --device cuda:0"
        )
    if not TEMPERATURE_MIN <= temperature <= TEMPERATURE_MAX:
        raise ConfigError(
            f"engine vllm samples at temperatures from {TEMPERATURE_MIN} to {TEMPERATURE_MAX}, but "
            f"temperature is {temperature}: change it or use --engine auto"
        )


def token_bytes(model: PreTrainedModel | PeftModel, dtype: torch.dtype) -> int:
    """Bytes that vLLM's cache takes per token: keys and values of all layers."""
    shape = shape_of(on_meta(without_adapters(model).config))
    return dtype.itemsize * shape.cache_width * shape.layers


def memory_share(
    model: PreTrainedModel | PeftModel,
    *,
    total_bytes: int,
    memory_bytes: int,
    dtype: torch.dtype,
    cache_bytes: int | None = None,
) -> float:
    """The share of the GPU for vLLM while awake: what the limit leaves in addition to the trained model, but
    no more than it needs for a cache of `cache_bytes`.

    vLLM fills its share with its cache, and takes some 3 ms per GiB of it at every call. Gradients and
    activations do not count, because they do not exist while completions are generated. Raises ConfigError if
    there is no room for vLLM's copy of the weights.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    moments = ADAM_BYTES * sum(p.numel() for p in model.parameters() if p.requires_grad)
    left = memory_bytes - weights - moments
    copy = sum(p.numel() for p in model.parameters()) * dtype.itemsize
    if left <= copy:
        raise ConfigError(
            f"engine vllm needs {copy / GIB:.1f} GiB for its copy of the weights, but the memory limit "
            f"leaves {max(left, 0) / GIB:.1f} GiB besides training: use --lora, a smaller model, or "
            "--engine auto"
        )
    needed = left if cache_bytes is None else copy + cache_bytes + SPARE_BYTES
    return min(SHARE_MAX, min(left, needed) / total_bytes)
