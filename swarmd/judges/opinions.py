"""Combines the judges' opinions of a group into rewards: checked, weighted, with a confidence. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.errors import ModelError
from swarmd.tasks.rewards import RewardRule

RIGHT_FROM = 0.5  # probability from which an answer counts as right in a swarm with all-or-nothing rewards


@dataclass(frozen=True)
class Opinion:
    """One judge's opinion of each completion in a group."""

    weight: int
    probabilities: tuple[float, ...]
    """Probability that the answer is right, 0..1."""
    confidence: float
    """How sure the judge is of the whole group, 0..1."""


@dataclass(frozen=True)
class Judged:
    """The combined result of all judges for one group."""

    rewards: tuple[float, ...]
    """0..1, one per completion; all 0 if no judge has an opinion."""
    confidence: float


def checked(judge: str, values: Sequence[float]) -> list[float]:
    """Return `values` if all are probabilities. Raises ModelError that names the judge."""
    for value in values:
        if not (isinstance(value, float) and math.isfinite(value) and 0.0 <= value <= 1.0):
            raise ModelError(
                f"the judge {judge} gave {value!r}, which is not a probability in [0, 1]: use another model "
                "for it, or another --dtype"
            )
    return list(values)


def sureness(probabilities: Sequence[float]) -> float:
    """The mean distance of the probabilities from one half, scaled to 0..1."""
    return sum(abs(2 * p - 1) for p in probabilities) / len(probabilities) if probabilities else 0.0


def combined(opinions: Sequence[Opinion | None], completions: int, rule: RewardRule) -> Judged:
    """The weighted mean of the opinions. The weight of a judge without an opinion goes to the others.

    exact: each judge decides right or wrong. partial: probabilities count as they are.
    """
    given = [opinion for opinion in opinions if opinion is not None]
    total = sum(opinion.weight for opinion in given)
    if not total:
        return Judged((0.0,) * completions, 0.0)
    rewards = (
        sum(each.weight * _said(each.probabilities[i], rule) for each in given) / total
        for i in range(completions)
    )
    return Judged(tuple(rewards), sum(each.weight * each.confidence for each in given) / total)


def _said(probability: float, rule: RewardRule) -> float:
    return float(probability >= RIGHT_FROM) if rule == "exact" else probability
