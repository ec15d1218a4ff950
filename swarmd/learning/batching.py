"""Splits rows into micro-batches within a token budget, keeping a group's rows together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from swarmd.learning.verified import Standing
from swarmd.logprobs import TokenRow


@dataclass(frozen=True)
class TrainRow:
    """One completion to train on: tokens, advantage, and what is known about the policy that wrote it."""

    tokens: TokenRow
    advantage: float
    rollout_logprobs: tuple[float, ...] | None
    """Nats per token as recorded while sampling; None if not known exactly (external completions)."""
    behaviour_logprob_sum: float | None
    text_bytes: int
    external: bool = False
    """Written by another peer."""
    same_tokens: bool = False
    """External rows only: written with this tokenizer, and has as many tokens as the publisher's sum
    covers."""
    publisher: str = ""
    standings: tuple[Standing, ...] | None = None
    """The part of the text that each token belongs to; None if all tokens are trained on."""

    @property
    def teaches(self) -> bool:
        """Whether any token may be trained on. A right completion needs at least one token of its answer."""
        return self.standings is None or Standing.ANSWER in self.standings or self.advantage <= 0


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together."""

    rows: tuple[TrainRow, ...]

    @property
    def token_rows(self) -> list[TokenRow]:
        return [row.tokens for row in self.rows]

    def advantages(self, like: Tensor) -> Tensor:
        """[B] with the dtype and device of `like`."""
        return like.new_tensor([row.advantage for row in self.rows])

    def behaviour_logprob_sums(self, like: Tensor) -> Tensor:
        """[B] nats per completion; NaN where unknown."""
        sums = [row.behaviour_logprob_sum for row in self.rows]
        return like.new_tensor([float("nan") if s is None else s for s in sums])

    def same_tokens(self, like: Tensor) -> Tensor:
        """[B] bool on the device of `like`."""
        return torch.tensor([row.same_tokens for row in self.rows], device=like.device)

    def text_bytes(self, like: Tensor) -> Tensor:
        """[B]"""
        return like.new_tensor([row.text_bytes for row in self.rows])

    def standings(self, like: Tensor) -> Tensor:
        """[B, T] `Standing`. ANSWER for all tokens of rows without standings, which are trained on
        completely."""
        found = torch.full(like.shape, Standing.ANSWER, dtype=torch.int8, device=like.device)
        for index, row in enumerate(self.rows):
            if row.standings is not None:
                found[index, : len(row.standings)] = torch.tensor(row.standings, device=like.device)
        return found

    def rollout_logprobs(self, otherwise: Tensor) -> Tensor:
        """[B, T] as recorded while sampling; the row of `otherwise` [B, T] if a row has none."""
        found = otherwise.detach().clone()
        for index, row in enumerate(self.rows):
            if row.rollout_logprobs is not None:
                found[index, : len(row.rollout_logprobs)] = torch.tensor(row.rollout_logprobs)
        return found


def micro_batches(
    rows: Sequence[TrainRow], token_budget: int, tokens: Callable[[Sequence[TokenRow]], int]
) -> list[MicroBatch]:
    """Split rows so that each batch's `tokens` fit the budget. A row above the budget gets its own batch.

    Rows with the same prompt stay in one batch if the budget allows. Prompts are sorted by the length of
    their rows, so batches need little padding. The same rows always give the same batches.
    """
    batches: list[MicroBatch] = []
    current: list[TrainRow] = []

    def fits(more: Sequence[TrainRow]) -> bool:
        return tokens([row.tokens for row in (*current, *more)]) <= token_budget

    for group in _by_prompt(rows):
        if current and not fits(group):
            batches.append(MicroBatch(tuple(current)))
            current = []
        if fits(group):
            current += group
            continue
        for row in group:
            if current and not fits([row]):
                batches.append(MicroBatch(tuple(current)))
                current = []
            current.append(row)
    if current:
        batches.append(MicroBatch(tuple(current)))
    return batches


def _by_prompt(rows: Sequence[TrainRow]) -> list[list[TrainRow]]:
    """Groups of rows with the same prompt, shortest group first; rows within a group are sorted by length."""
    ordered = sorted(rows, key=lambda row: (row.tokens.prompt_ids, len(row.tokens)))
    groups = [list(group) for _, group in groupby(ordered, key=lambda row: row.tokens.prompt_ids)]
    return sorted(groups, key=lambda group: len(group[-1].tokens))
