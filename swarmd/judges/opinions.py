"""From what judges say of one group to its rewards: checked, weighted, and how sure they are. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.errors import ModelError
from swarmd.tasks.rewards import RewardRule

RIGHT_FROM = 0.5  # a probability from which a judge says "right" in a swarm that pays all or nothing


@dataclass(frozen=True)
class Opinion:
    """What one judge says of each completion of a group."""

    weight: int
    probabilities: tuple[float, ...]
    """That the answer is right, 0..1."""
    confidence: float
    """How sure it is of the whole group, 0..1."""


@dataclass(frozen=True)
class Judged:
    """One group as all its judges together see it."""

    rewards: tuple[float, ...]
    """0..1, one per completion; 0 for all where no judge has an opinion."""
    confidence: float


def checked(judge: str, values: Sequence[float]) -> list[float]:
    """`values`, if each is a probability. Raises ModelError that names the judge."""
    for value in values:
        if not (isinstance(value, float) and math.isfinite(value) and 0.0 <= value <= 1.0):
            raise ModelError(
                f"the judge {judge} gives {value!r}, which is no probability from 0 to 1: use another model "
                "for it, or another --dtype"
            )
    return list(values)


def sureness(probabilities: Sequence[float]) -> float:
    """How far probabilities are from a half on average, as 0..1."""
    return sum(abs(2 * p - 1) for p in probabilities) / len(probabilities) if probabilities else 0.0


def combined(opinions: Sequence[Opinion | None], completions: int, rule: RewardRule) -> Judged:
    """The weighted mean of the opinions. A judge without one leaves its weight to the others.

    exact: each judge says right or wrong. partial: its probabilities count as they are.
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
