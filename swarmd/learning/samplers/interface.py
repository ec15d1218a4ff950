"""What a sampler is given and what it gives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from swarmd.groups import ScoredGroup


@dataclass(frozen=True)
class DrawContext:
    """What this peer knows at the moment of the draw. What a mapping lacks is unknown."""

    round: int
    """The swarm's round now."""
    round_seconds: float
    success: Mapping[bytes, float] = field(default_factory=dict)
    """This peer's own mean reward of late by task id, in [0, 1]."""
    own_surprisal: float | None = None
    """Of its own completions under the policy that sampled them, nats a byte."""
    surprisal: Mapping[str, float] = field(default_factory=dict)
    """By publisher: of its text under this peer's policy, nats a byte."""
    trust: Mapping[str, float] = field(default_factory=dict)
    """By publisher, in [0, 1]: 0 is ignored, 1 is as good as any."""


class GroupSampler(Protocol):
    """Chooses from the pool."""

    def draw(
        self, candidates: Sequence[ScoredGroup], count: int, rng: random.Random, context: DrawContext
    ) -> list[ScoredGroup]:
        """At most `count` different groups; fewer if there are not enough worth training on."""
        ...
