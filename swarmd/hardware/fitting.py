"""Finds what fits under a memory limit: all weights or an adapter, batch sizes, with or without
checkpointing.

Pure. The fastest arrangement that fits is chosen by a rough count of arithmetic and bytes moved. Training all
weights is preferred to an adapter, because only all weights can learn everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from swarmd.errors import OutOfMemoryError
from swarmd.hardware.arrangement import FLOAT32, Arrangement, Device, DType, EnginesMemory, Workload
from swarmd.hardware.budgets import UNLIMITED, Budgets
from swarmd.hardware.memory import MemoryPrediction, predict_memory
from swarmd.hardware.rates import Rates
from swarmd.hardware.shape import ModelShape

GIB = 2**30
TRAIN_TOKENS_ENOUGH = {"cpu": 2_048, "mps": 4_096, "cuda": 65_536}
"""Beyond this many tokens, a micro-batch makes products no faster, because reading the weights no longer
matters. On CUDA, a micro-batch of a small model takes as long as launching its kernels, up to some ten
thousand tokens."""
DECODE_TOKENS_ENOUGH = {"cpu": 65_536, "mps": 65_536, "cuda": 524_288}
"""The same for decoding, which computes one token of every row at a time."""
TYPICAL_RATES = Rates(1e11, None, 1e10)  # of one or two CPU cores; used if nothing was measured
WEIGHT_PASSES = 5  # a micro-batch reads every weight once forward and twice backward, and updates gradients


@dataclass(frozen=True)
class Situation:
    """The given facts: the model, the machine, the work, and the limit."""

    shape: ModelShape
    engines: EnginesMemory
    device: Device
    dtype: DType
    work: Workload
    held_bytes: int
    """Held by this process on the device before the model is loaded."""
    limit_bytes: int
    rates: Rates = TYPICAL_RATES
    train_tokens: int | None = None
    """Set by the operator; None otherwise."""
    ceilings: Mapping[int | None, Budgets] = field(default_factory=dict)
    """LoRA rank (None: all weights) -> the largest budgets to try, after a shortage at an earlier start."""


@dataclass(frozen=True)
class Fit:
    """The chosen arrangement. Its predicted peak is at most the limit."""

    lora_rank: int | None
    budgets: Budgets
    prediction: MemoryPrediction


def fit(situation: Situation, lora_ranks: Sequence[int | None]) -> Fit:
    """The first of `lora_ranks` (None: all weights) that fits, in its fastest arrangement.

    Raises OutOfMemoryError, naming the minimum that the last rank needs, if none fits.
    """
    for rank in lora_ranks:
        ways = list(_ways(situation, rank))
        if ways:
            return min(ways, key=lambda way: _cost(situation, way.budgets))
    needed = _least(situation, lora_ranks[-1])
    raise OutOfMemoryError(
        f"{_what(situation, lora_ranks[-1])} needs at least {_gib(needed)}, but only "
        f"{_gib(situation.limit_bytes)} may be used: raise --memory-limit, use a smaller --model, "
        + ("--lora r=16, " if lora_ranks[-1] is None and situation.work.training else "")
        + "a smaller --max-new-tokens, or free some memory"
    )


def needed_for(situation: Situation, lora_rank: int | None) -> int:
    """The lowest possible predicted peak, with the smallest batches. No limit below it works."""
    return _least(situation, lora_rank)


def _ways(situation: Situation, rank: int | None) -> Iterator[Fit]:
    """Yield fits with and without checkpointing, each with the largest budgets that fit."""
    work, device = situation.work, situation.device
    ceiling = situation.ceilings.get(rank, UNLIMITED)
    decode_most = min(DECODE_TOKENS_ENOUGH[device], work.decode_tokens, ceiling.decode_tokens)
    train_most = min(TRAIN_TOKENS_ENOUGH[device], work.train_tokens, ceiling.train_tokens)
    train_least = min(work.row_tokens, train_most)
    if situation.train_tokens is not None:
        train_least = train_most = min(situation.train_tokens, ceiling.train_tokens)
    checkpointings = (True,) if ceiling.gradient_checkpointing else (False, True)
    for checkpointing in checkpointings if work.training else (False,):
        least = Budgets(min(work.row_tokens, decode_most), train_least, checkpointing)
        # The two phases do not overlap, so each budget is found separately. Training comes first, downwards:
        # a single micro-batch can have a lower peak than several small ones.
        training = (replace(least, train_tokens=n) for n in _downwards(train_least, train_most))
        trained = next((b for b in training if _fits(situation, rank, b)), None)
        if trained is None:
            continue
        decoding = (replace(trained, decode_tokens=n) for n in _downwards(least.decode_tokens, decode_most))
        budgets = next(b for b in decoding if _fits(situation, rank, b))
        yield Fit(rank, budgets, _predict(situation, rank, budgets))


def _downwards(least: int, most: int) -> Iterator[int]:
    """From `most` down to `least`, in steps of at most an eighth, so that no more than that is wasted."""
    tokens = most
    while tokens > least:
        yield tokens
        tokens = min(tokens - 1, tokens * 7 // 8)
    yield least


def _fits(situation: Situation, rank: int | None, budgets: Budgets) -> bool:
    return _predict(situation, rank, budgets).peak <= situation.limit_bytes


def _predict(situation: Situation, rank: int | None, budgets: Budgets) -> MemoryPrediction:
    work = situation.work
    # At most one step's work goes through at once, whatever the operator allows.
    real = replace(budgets, train_tokens=min(budgets.train_tokens, work.train_tokens))
    way = Arrangement(situation.device, situation.dtype, rank, real)
    return predict_memory(situation.shape, way, work, situation.engines, held_bytes=situation.held_bytes)


def _cost(situation: Situation, budgets: Budgets) -> float:
    """Approximate seconds of training per completion."""
    work, shape, rates = situation.work, situation.shape, situation.rates
    rate = rates.matmul_float32 if situation.dtype == "float32" else rates.matmul_bfloat16
    together = max(1, (budgets.train_tokens - work.prompt_tokens) // work.new_tokens)
    tokens = work.new_tokens + work.prompt_tokens / min(together, work.group_size)
    passes = 3 + budgets.gradient_checkpointing  # forward, backward by inputs and by weights, forward again
    arithmetic = 2.0 * shape.parameters * passes / (rate or rates.matmul_float32)
    moved = (WEIGHT_PASSES + budgets.gradient_checkpointing) * FLOAT32 * shape.parameters
    return tokens * (arithmetic + moved / (rates.bandwidth * max(1, budgets.train_tokens)))


def _least(situation: Situation, rank: int | None) -> int:
    work = situation.work
    ceiling = situation.ceilings.get(rank, UNLIMITED)
    whole = min(TRAIN_TOKENS_ENOUGH[situation.device], work.train_tokens)
    asked = (situation.train_tokens,) if situation.train_tokens else (work.row_tokens, whole)
    return min(
        _predict(
            situation,
            rank,
            Budgets(
                min(work.row_tokens, ceiling.decode_tokens),
                min(tokens, ceiling.train_tokens),
                gradient_checkpointing=work.training,
            ),
        ).peak
        for tokens in asked
    )


def _what(situation: Situation, rank: int | None) -> str:
    if not situation.work.training:
        return "answering with this model"
    how = "all weights" if rank is None else f"a LoRA adapter of rank {rank}"
    wish = f" in micro-batches of {situation.train_tokens} tokens" if situation.train_tokens else ""
    return f"training {how} of this model in {situation.dtype}{wish}"


def _gib(count: int) -> str:
    return f"{count / GIB:.2f} GiB"
