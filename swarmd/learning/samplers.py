"""Which external groups a step trains on: one small interface, several answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol

from swarmd.config import LearningConfig
from swarmd.learning.groups import ScoredGroup


class GroupSampler(Protocol):
    """Chooses from the pool."""

    def draw(self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random) -> list[ScoredGroup]:
        """At most `count` different groups; fewer if there are not enough worth training on."""
        ...


class UniformSampler:
    """The paper's rule (arXiv 2509.08721): drop groups of zero advantage, then uniform, none twice."""

    def draw(self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random) -> list[ScoredGroup]:
        informative = [group for group in candidates if group.is_informative]
        return rng.sample(informative, min(count, len(informative)))


def group_sampler(config: LearningConfig) -> GroupSampler:
    """The sampler that `config.sampler` names."""
    match config.sampler:
        case "uniform":
            return UniformSampler()
