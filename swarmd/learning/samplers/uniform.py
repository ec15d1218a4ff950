"""The paper's sampler."""

from __future__ import annotations

import random
from collections.abc import Sequence

from swarmd.groups import ScoredGroup
from swarmd.learning.samplers.interface import DrawContext


class UniformSampler:
    """The paper's rule (arXiv 2509.08721): drop groups of zero advantage, then uniform, none twice."""

    def draw(
        self,
        candidates: Sequence[ScoredGroup],
        count: int,
        rng: random.Random,
        context: DrawContext,  # noqa: ARG002  the rule needs to know nothing
    ) -> list[ScoredGroup]:
        informative = [group for group in candidates if group.is_informative]
        return rng.sample(informative, min(count, len(informative)))
