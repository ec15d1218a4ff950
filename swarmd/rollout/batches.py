"""Decodes completions for many prompts, in batches that fit into memory. A batch that does not fit is split.

This file knows tokens, not text. However the batches are split, each row uses its own uniforms and ends where
it would have ended alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from swarmd.hardware.budgets import BudgetKeeper
from swarmd.hardware.guard import MemoryGuard
from swarmd.hardware.shortage import Shortage, attempt
from swarmd.rollout.interface import Decoded, Engine, Progress, RowEnd, StopSignal


@dataclass(frozen=True)
class Decoding:
    """Parameters shared by all prompts of a call."""

    max_new_tokens: int
    context: int
    """The model's limit: a prompt of n tokens leaves room for context - n."""
    uniforms: Tensor | None
    """[prompts * num_completions, >= max_new_tokens]; None decodes greedily."""
    temperature: float
    progress: Progress | None
    should_stop: StopSignal | None
    row_end: RowEnd | None = None

    def room(self, prompt: Sequence[int]) -> int:
        return min(self.max_new_tokens, self.context - len(prompt))


@dataclass(frozen=True)
class Batch:
    """All copies of prompts first..stop, or some copies of a single one."""

    first: int
    stop: int
    first_copy: int
    stop_copy: int
    tokens: int
    """rows * (longest prompt + new tokens): the part of the budget that the batch uses."""


def decode_all(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    num_completions: int,
    wanted: Decoding,
    *,
    budgets: BudgetKeeper,
    guard: MemoryGuard | None,
) -> list[Decoded]:
    """Decode `num_completions` completions of every prompt, prompt by prompt.

    Prompts of similar length are decoded together, which saves padding. If memory runs out, the batch is
    split and decoded again; finished batches are kept. Raises GenerationStoppedError, and ModelError if even
    small batches do not fit.
    """
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    if wanted.uniforms is not None:
        by_prompt = wanted.uniforms.view(len(prompts), num_completions, wanted.uniforms.shape[1])
        wanted = replace(wanted, uniforms=by_prompt[order].flatten(0, 1))
    ordered = _decode_in_order(
        engine, [prompts[index] for index in order], num_completions, wanted, budgets=budgets, guard=guard
    )
    groups: list[list[Decoded]] = [[] for _ in prompts]
    for position, index in enumerate(order):
        groups[index] = ordered[position * num_completions : (position + 1) * num_completions]
    return [row for group in groups for row in group]


def _decode_in_order(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    num_completions: int,
    wanted: Decoding,
    *,
    budgets: BudgetKeeper,
    guard: MemoryGuard | None,
) -> list[Decoded]:
    decoded: list[Decoded] = []
    budget = budgets.budgets.decode_tokens
    pending = deque(_cut(prompts, wanted, 0, len(prompts), 0, num_completions, budget))
    while pending:
        batch = pending.popleft()
        watch = _Watch(wanted.progress, guard)
        done = attempt(lambda: _decode(engine, prompts, num_completions, wanted, batch, watch))  # noqa: B023  called at once
        if isinstance(done, Shortage):
            watch.take_back()
            budget = budgets.short("decode_tokens", batch.tokens, done)
            left = [batch, *pending]
            pending = deque(
                smaller
                for b in left
                for smaller in _cut(prompts, wanted, b.first, b.stop, b.first_copy, b.stop_copy, budget)
            )
        else:
            budgets.done("decode_tokens")
            decoded += done
    return decoded


def _decode(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    num_completions: int,
    wanted: Decoding,
    batch: Batch,
    watch: _Watch,
) -> list[Decoded]:
    uniforms = None
    if wanted.uniforms is not None:
        start = batch.first * num_completions + batch.first_copy
        stop = (batch.stop - 1) * num_completions + batch.stop_copy
        uniforms = wanted.uniforms[start:stop]
    return engine.decode(
        prompts[batch.first : batch.stop],
        batch.stop_copy - batch.first_copy,
        wanted.room(prompts[batch.first]),
        uniforms=uniforms,
        temperature=wanted.temperature,
        progress=watch,
        should_stop=wanted.should_stop,
        row_end=wanted.row_end,
    )


class _Watch:
    """Forwards progress, and checks the memory between decoding steps."""

    def __init__(self, progress: Progress | None, guard: MemoryGuard | None) -> None:
        self._progress = progress
        self._guard = guard
        self._told = 0

    def __call__(self, tokens: int) -> None:
        self._told += tokens
        if self._progress is not None:
            self._progress(tokens)
        if self._guard is not None:
            self._guard.check()

    def take_back(self) -> None:
        """Retract all tokens reported so far, because they will be decoded again."""
        if self._progress is not None:
            self._progress(-self._told)


def _cut(
    prompts: Sequence[Sequence[int]],
    wanted: Decoding,
    first: int,
    stop: int,
    first_copy: int,
    stop_copy: int,
    budget: int,
) -> Iterator[Batch]:
    """Batches of prompts first..stop with these copies, each within `budget` or a single row.

    Prompts with room for different numbers of new tokens are not mixed, so that no row ends early because of
    another.
    """
    num_completions = stop_copy - first_copy
    while first < stop:
        room = wanted.room(prompts[first])
        longest, end = len(prompts[first]), first + 1
        while end < stop and wanted.room(prompts[end]) == room:
            longer = max(longest, len(prompts[end]))
            if (end + 1 - first) * num_completions * (longer + room) > budget:
                break
            longest, end = longer, end + 1
        width = longest + room
        rows = num_completions if end > first + 1 else max(1, min(num_completions, budget // width))
        for copy in range(first_copy, stop_copy, rows):
            last = min(copy + rows, stop_copy)
            yield Batch(first, end, copy, last, (end - first) * (last - copy) * width)
        first = end
