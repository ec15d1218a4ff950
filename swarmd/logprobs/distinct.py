"""Equal rows are scored once: short answers repeat within a group, and right ones more than others."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.interface import LogprobsEngine, TokenRow


class DistinctLogprobs:
    """Hands each row to another scorer once, and its result to all that are equal to it.

    The gradient by such a row is then the sum of those by its copies: what the other would have computed
    from all of them, up to rounding.
    """

    def __init__(self, scorer: LogprobsEngine) -> None:
        self._scorer = scorer

    @property
    def factored(self) -> FactoredGradients | None:
        return self._scorer.factored

    def tokens(self, rows: Sequence[TokenRow]) -> int:
        return self._scorer.tokens(list(dict.fromkeys(rows)))

    def logprobs(self, rows: Sequence[TokenRow], temperature: float) -> tuple[Tensor, Tensor]:
        distinct, places = _distinct(rows)
        logprobs, mask = self._scorer.logprobs(distinct, temperature)
        return _spread(logprobs, places), _spread(mask, places)

    def logprobs_and_states(
        self, rows: Sequence[TokenRow], temperature: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        distinct, places = _distinct(rows)
        logprobs, mask, states = self._scorer.logprobs_and_states(distinct, temperature)
        return _spread(logprobs, places), _spread(mask, places), _spread(states, places)


def _distinct(rows: Sequence[TokenRow]) -> tuple[list[TokenRow], list[int] | None]:
    """The rows without repetitions, in order, and the place of each row there; None: nothing is repeated."""
    numbers: dict[TokenRow, int] = {}
    places = [numbers.setdefault(row, len(numbers)) for row in rows]
    return list(numbers), None if len(numbers) == len(rows) else places


def _spread(of_distinct: Tensor, places: list[int] | None) -> Tensor:
    """[U, ...] -> [B, ...]"""
    if places is None:
        return of_distinct
    return of_distinct.index_select(0, torch.tensor(places, device=of_distinct.device))
