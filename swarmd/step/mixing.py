"""How many own groups a step makes, and how many groups of others it draws.

What a peer has measured goes in, numbers come out. It draws nothing and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.config import LearningConfig
from swarmd.groups import ScoredGroup

RARE_SHARE = 0.25  # of own groups that teach: fewer than two of eight, so a step alone learns next to nothing


@dataclass(frozen=True)
class Mix:
    """What one step wants."""

    local: int
    """Own groups to make."""
    external: int
    """Groups of others to draw at most."""
    fill: int | None = None
    """Groups with an advantage to have in all; None: as many of others as `external` says."""

    def wanted(self, own: Sequence[ScoredGroup]) -> int:
        """How many groups of others to draw beside `own`."""
        if self.fill is None:
            return self.external
        missing = self.fill - sum(group.is_informative for group in own)
        return min(self.external, max(0, missing))


@dataclass(frozen=True)
class GroupCosts:
    """Seconds that a group has cost this peer lately."""

    own_s: float
    """To make a question, to answer it and to score the answers."""
    external_s: float
    """To verify what is pulled for each group of others that is used."""


def choose_mix(
    config: LearningConfig, teaching_share: float | None = None, costs: GroupCosts | None = None
) -> Mix:
    """The mix of the next step.

    With `mix` fixed, it is what the settings say. With `mix` measured, it follows `teaching_share`, the share
    of this peer's recent own groups that taught something, and `costs`; None is not known yet.

    - Where own groups seldom teach, it makes I + J own groups and fills the step with groups of others up to
      I + J that teach. The more a peer tries there, the more the whole swarm has to learn from.
    - Where a group of others costs more than an own group that teaches, it makes I + J own groups and draws
      none.
    - Elsewhere it is I/J.
    """
    plain = Mix(config.local, config.external, config.external_fill)
    if config.mix == "fixed" or not config.external or teaching_share is None:
        return plain
    both = config.local + config.external
    if teaching_share < RARE_SHARE:
        return Mix(both, both, fill=both)
    if costs is not None and costs.external_s * teaching_share > costs.own_s:
        return Mix(both, 0)
    return plain


def largest_mix(config: LearningConfig) -> Mix:
    """As many own groups, and groups of others, as any step may want: what memory is planned for."""
    if config.mix == "fixed" or not config.external:
        return Mix(config.local, config.external, config.external_fill)
    both = config.local + config.external
    return Mix(both, both, fill=both)
