"""Chooses a model's engines: one writes completions, the other computes logprobs. Each choice has a reason.

One of our own engines, native or built from PyTorch's operators, is used if a trial shows that it computes
what the model computes. Otherwise transformers' is used.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from transformers import PreTrainedModel

from swarmd.adapted import without_adapters
from swarmd.config.slices import EngineName
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.shortage import is_out_of_memory
from swarmd.llama import (
    LlamaBody,
    LlamaEngine,
    NativeEngine,
    NativeError,
    NotLlamaError,
    kernels,
    read_decoder,
)
from swarmd.logprobs import FactoredGradients, LogprobsEngine, PackedLogprobs, PaddedLogprobs
from swarmd.logprobs.body import Body, TransformersBody
from swarmd.logprobs.checkpointing import keep_activations
from swarmd.logprobs.packed import why_not_packed
from swarmd.logprobs.trial import UNFIT, Trial
from swarmd.model.sight import Sight
from swarmd.rollout import EagerEngine, Engine
from swarmd.rollout.interface import ReplayingEngine
from swarmd.rollout.vllm import start_vllm_engine

if TYPE_CHECKING:
    from peft import PeftModel

TOGETHER = "a prompt is computed once for all its completions"
ONE_BY_ONE = "each completion is computed behind a copy of its prompt"


@dataclass(frozen=True)
class EngineWish:
    """The requested engine, and what some engines must know before they start."""

    name: EngineName = "auto"
    temperature: float = 1.0
    memory_bytes: int | None = None
    """How much this process may hold on its device; None for no limit."""
    decode_tokens: int | None = None
    """How many tokens it decodes at once, prompts included; None for no limit."""


@dataclass(frozen=True)
class EngineChoice:
    """The engine that writes completions, and a sentence that gives the reason."""

    engine: Engine
    reason: str


@dataclass(frozen=True)
class LogprobsChoice:
    """The engine that computes logprobs, and a sentence that gives the reason."""

    engine: LogprobsEngine
    reason: str


@dataclass(frozen=True)
class Subject:
    """The model that engines are chosen for."""

    model: PreTrainedModel | PeftModel
    pad_id: int
    dtype: torch.dtype
    """The dtype of matrix products."""
    sight: Sight | None = None
    """How it is shown images; None for a model without sight."""
    _trials: dict[torch.dtype, Trial] = field(default_factory=dict)

    @property
    def base(self) -> Any:
        """The model without the adapters around it."""
        return without_adapters(self.model)

    def trial(self, dtype: torch.dtype) -> Trial:
        """The trial in `dtype`, created once."""
        if dtype not in self._trials:
            vocab_size: int = self.base.get_input_embeddings().num_embeddings
            self._trials[dtype] = Trial(
                self.model, vocab_size=vocab_size, pad_id=self.pad_id, dtype=dtype, sight=self.sight
            )
        return self._trials[dtype]


def choose_engine(wish: EngineWish, subject: Subject, *, eos_ids: frozenset[int]) -> EngineChoice:
    """Choose the engine that writes completions.

    Raises ConfigError if the requested engine cannot work here. Raises ModelError if the model's logprobs
    token by token differ from those for all tokens at once.
    """
    model, dtype = subject.model, subject.dtype
    if wish.name == "vllm":
        if subject.sight is not None:
            raise ConfigError("--engine vllm does not support images here: use --engine auto")
        vllm = start_vllm_engine(
            model,
            eos_ids=eos_ids,
            dtype=dtype,
            temperature=wish.temperature,
            memory_bytes=wish.memory_bytes,
            decode_tokens=wish.decode_tokens,
        )
        return EngineChoice(vllm, "vLLM generates because it was asked for")
    reason = "transformers' own forward generates because it was asked for"
    if wish.name != "eager":
        native = _native_engine(subject, eos_ids) if wish.name != "own" else ""
        if isinstance(native, EngineChoice):
            return native
        if wish.name == "native":
            raise ConfigError(f"engine native was asked for, but {native}: use --engine auto")
        found = _llama_engine(subject, eos_ids)
        if not isinstance(found, str):
            return EngineChoice(found.engine, "; not natively: ".join(filter(None, (found.reason, native))))
        reason = f"transformers' own forward generates because ours does not fit this model: {found}"
        if wish.name == "own":
            raise ConfigError(f"engine own was asked for, but {reason}: use --engine auto")
    eager = EagerEngine(model, pad_id=subject.pad_id, eos_ids=eos_ids, dtype=dtype, sight=subject.sight)
    different = subject.trial(dtype).of_decoding(eager)
    if different is not None:
        raise ModelError(
            f"{subject.base.config.model_type} writes token by token with other log-probabilities than for "
            f"all tokens at once: {different}. It is not causal, or keeps more than keys and values: use "
            "another model"
        )
    return EngineChoice(eager, reason)


def told_native() -> str:
    """What `swarmd doctor` reports about native decoding on this machine, independent of the model."""
    try:
        return f"with {kernels()}, for float32 on a CPU"
    except NativeError as error:
        return f"none; PyTorch's operators decode instead: {error}"


def _native_engine(subject: Subject, eos_ids: frozenset[int]) -> EngineChoice | str:
    """Our native engine, or the reason why it does not fit."""
    try:
        engine = NativeEngine(read_decoder(subject.model), eos_ids=eos_ids, dtype=subject.dtype)
    except (NotLlamaError, NativeError, *UNFIT) as error:
        return str(error)
    different = _tried(subject, engine)
    if different is not None:
        return different
    why = "generates because it computes this model as transformers does"
    return EngineChoice(engine, f"our native decoding ({engine.kernels}) {why}")


def _llama_engine(subject: Subject, eos_ids: frozenset[int]) -> EngineChoice | str:
    """Our own engine, or the reason why it does not fit. If it fits only without CUDA graphs, it does
    without."""
    reason = "our own decoding generates because it computes this model as transformers does"
    try:
        engine = LlamaEngine(read_decoder(subject.model), eos_ids=eos_ids, dtype=subject.dtype)
    except (NotLlamaError, *UNFIT) as error:
        return str(error)
    different = _tried(subject, engine)
    if different is not None and engine.stream is not None:
        engine.stream, engine.fixed = None, False
        reason += f"; without CUDA graphs: {different}"
        different = _tried(subject, engine)
    return EngineChoice(engine, reason) if different is None else different


def _tried(subject: Subject, engine: ReplayingEngine) -> str | None:
    """Why this engine does not fit; None if it does."""
    try:
        return subject.trial(subject.dtype).of_decoding(engine)
    except (NativeError, *UNFIT) as error:
        if is_out_of_memory(error):  # not the model's fault
            raise
        return str(error)


def choose_logprobs(
    subject: Subject,
    *,
    recompute: Callable[[], bool] = keep_activations,
    before_layer: Callable[[], None] | None = None,
) -> LogprobsChoice:
    """Choose the fastest logprobs engine that is right for this model.

    `recompute` is called before rows are computed, and returns whether the backward pass should recompute
    layers. `before_layer` is called before each of our own layers.
    """
    base, dtype = subject.base, subject.dtype
    factored = FactoredGradients()
    makers: dict[str, Callable[[torch.dtype], Body]] = {
        "our own layers": lambda working: _llama_body(base, working, factored, before_layer),
        "transformers' layers": lambda working: TransformersBody(base.base_model, working),
    }

    def make(body: Body, working: torch.dtype) -> PackedLogprobs:
        return PackedLogprobs(base, body, dtype=working, factored=factored, recompute=recompute)

    hindrance = why_not_packed(base) if subject.sight is None else "its prompts may have images"
    whys = [] if hindrance is None else [hindrance]
    for by, make_body in makers.items() if hindrance is None else ():
        try:
            # In the weights' own dtype, in which the trial is most precise.
            different = subject.trial(base.dtype).of_logprobs(make(make_body(base.dtype), base.dtype))
        except (NotLlamaError, *UNFIT) as error:
            if is_out_of_memory(error):  # not the model's fault, and padded rows need even more
                raise
            different = str(error)
        if different is None:
            engine = make(make_body(dtype), dtype)
            return LogprobsChoice(engine, "; ".join((f"{TOGETHER}, by {by}", *whys)))
        whys.append(f"not by {by}: {different}")
    padded = PaddedLogprobs(
        subject.model, pad_id=subject.pad_id, dtype=dtype, recompute=recompute, sight=subject.sight
    )
    return LogprobsChoice(padded, "; ".join((ONE_BY_ONE, *whys)))


def _llama_body(
    base: Any, dtype: torch.dtype, factored: FactoredGradients, before_layer: Callable[[], None] | None
) -> LlamaBody:
    body = LlamaBody(read_decoder(base), dtype, factored, before_layer)
    # Our layers take part in the backward pass only if their input does.
    trained = [parameter.requires_grad for parameter in base.parameters()]
    if any(trained) and not all(trained):
        raise NotLlamaError("only part of it is trained")
    return body
