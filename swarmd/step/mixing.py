"""Decides how many own groups a step makes, and how many external groups it draws.

Computed from this peer's own measurements. It draws nothing and measures nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.config import LearningConfig
from swarmd.groups import ScoredGroup

RARE_SHARE = 0.25  # of own groups that teach: below two in eight, own groups alone teach next to nothing


@dataclass(frozen=True)
class Mix:
    """The groups that one step uses."""

    local: int
    """Own groups to make."""
    external: int
    """The most external groups to draw."""
    fill: int | None = None
    """Target for the total number of groups with an advantage. None: draw `external` groups regardless."""

    def wanted(self, own: Sequence[ScoredGroup]) -> int:
        """How many external groups to draw in addition to `own`."""
        if self.fill is None:
            return self.external
        missing = self.fill - sum(group.is_informative for group in own)
        return min(self.external, max(0, missing))


@dataclass(frozen=True)
class GroupCosts:
    """Seconds that a group has recently cost this peer."""

    own_s: float
    """To generate a question and its answers, and to score them."""
    external_s: float
    """To verify what is pulled, per external group that is used."""


def choose_mix(
    config: LearningConfig, teaching_share: float | None = None, costs: GroupCosts | None = None
) -> Mix:
    """The mix of the next step.

    With `mix` fixed, it follows the settings. With `mix` measured, it follows `teaching_share`, the share of
    this peer's recent own groups that taught something, and `costs`. None means not yet known.

    - If own groups seldom teach, it makes I + J own groups and adds external groups until I + J groups teach.
      More attempts by each peer give the whole swarm more to learn from.
    - If an external group costs more than an own group that teaches, it makes I + J own groups and draws no
      external ones.
    - Otherwise it uses I and J.
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
    """The most own groups and external groups that any step may use. Memory is planned for these."""
    if config.mix == "fixed" or not config.external:
        return Mix(config.local, config.external, config.external_fill)
    both = config.local + config.external
    return Mix(both, both, fill=both)
