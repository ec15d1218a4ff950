"""Computes equal rows only once. Short answers repeat within a group, right ones more often than others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.interface import LogprobsEngine, TokenRow


class DistinctLogprobs:
    """Passes each distinct row to another logprobs engine once, and copies its result to all rows equal to
    it.

    The gradient of such a row is the sum of its copies' gradients, which equals what the other engine would
    have computed from all of them, up to rounding.
    """

    def __init__(self, engine: LogprobsEngine) -> None:
        self._engine = engine

    @property
    def factored(self) -> FactoredGradients | None:
        return self._engine.factored

    @property
    def shares_prompts(self) -> bool:
        return self._engine.shares_prompts

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        return self._engine.tokens(list(dict.fromkeys(rows)))

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        distinct, positions = _distinct(rows)
        logprobs, mask = self._engine.logprobs(distinct, temperature)
        return _spread(logprobs, positions), _spread(mask, positions)

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        distinct, positions = _distinct(rows)
        logprobs, mask, states = self._engine.logprobs_and_states(distinct, temperature)
        return _spread(logprobs, positions), _spread(mask, positions), _spread(states, positions)


def _distinct(rows: Sequence[TokenRow]) -> tuple[list[TokenRow], list[int] | None]:
    """The distinct rows, in order, and each row's index among them; None if no row repeats."""
    seen: dict[TokenRow, int] = {}
    positions = [seen.setdefault(row, len(seen)) for row in rows]
    return list(seen), None if len(seen) == len(rows) else positions


def _spread(of_distinct: Tensor, positions: list[int] | None) -> Tensor:
    """[U, ...] -> [B, ...]"""
    if positions is None:
        return of_distinct
    return of_distinct.index_select(0, torch.tensor(positions, device=of_distinct.device))
