"""From groups to rows, and from rows to micro-batches of equal-length work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.policy import TokenRow


@dataclass(frozen=True)
class TrainRow:
    """One completion to train on: tokens, advantage, and what is known of the policy that wrote it."""

    tokens: TokenRow
    advantage: float
    old_logprobs: tuple[float, ...] | None
    """Per token under the policy that wrote it, where known exactly (own completions)."""
    behaviour_logprob_sum: float | None
    text_bytes: int


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
        """[B]; NaN where unknown."""
        sums = [row.behaviour_logprob_sum for row in self.rows]
        return like.new_tensor([float("nan") if s is None else s for s in sums])

    def old_logprobs(self, otherwise: Tensor) -> Tensor:
        """[B, T]: the rows' own old log-probabilities; those of `otherwise` [B, T] where a row has none."""
        old = otherwise.detach().clone()
        for number, row in enumerate(self.rows):
            if row.old_logprobs is not None:
                old[number, : len(row.old_logprobs)] = torch.tensor(row.old_logprobs)
        return old


def micro_batches(rows: Sequence[TrainRow], token_budget: int) -> list[MicroBatch]:
    """Rows sorted by length, cut so that rows * longest <= token_budget; a longer row goes alone.

    Sorting keeps the padding small. The same rows give the same batches, so a step is reproducible.
    """
    batches: list[MicroBatch] = []
    current: list[TrainRow] = []
    for row in sorted(rows, key=lambda row: len(row.tokens)):
        if current and (len(current) + 1) * len(row.tokens) > token_budget:
            batches.append(MicroBatch(tuple(current)))
            current = []
        current.append(row)
    if current:
        batches.append(MicroBatch(tuple(current)))
    return batches
