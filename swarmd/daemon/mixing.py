"""How many own and external groups the next step wants, based on what this peer has measured."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from swarmd.config import LearningConfig
from swarmd.gossip.events import Demand
from swarmd.gossip.limits import GossipLimits
from swarmd.learning import Experience
from swarmd.step.mixing import GroupCosts, Mix, choose_mix
from swarmd.step.verification import Verification

OWN_PHASES = ("questions", "generating", "scoring")
PROBE_STEPS = 16  # per group pulled only to measure its cost: a few percent of what the steps cost, usually
DEMAND_STEPS = 8  # groups arrive several steps after the request, so demand follows the mean


class Mixing:
    """Remembers what own groups cost, and how many external groups the last steps wanted."""

    def __init__(self, learning: LearningConfig, verification: Verification) -> None:
        self._learning = learning
        self._verification = verification
        self._own_s: float | None = None
        self._wanted: deque[int] = deque(maxlen=DEMAND_STEPS)
        self._told = choose_mix(learning)

    def next(self, experience: Experience) -> Mix:
        """Return the mix of the step that begins."""
        return choose_mix(self._learning, experience.teaching_share, self._costs())

    def change(self, mix: Mix) -> str | None:
        """Say in words how `mix` differs from the one before; None if it does not."""
        if mix == self._told:
            return None
        self._told = mix
        if mix == choose_mix(self._learning):
            return f"back to {mix.local} own and {mix.external} external groups per step"
        if mix.fill is not None:
            return (
                f"few own groups teach, so a step now makes {mix.local} of them and draws external ones "
                f"until {mix.fill} groups teach"
            )
        return (
            "an own group that teaches costs less than an external one, so a step now makes "
            f"{mix.local} own groups and draws no external ones"
        )

    def made(self, groups: int, phase_seconds: Mapping[str, float]) -> None:
        """Note that a step made `groups` own groups, and how long its phases took."""
        if groups:
            self._own_s = sum(phase_seconds.get(phase, 0.0) for phase in OWN_PHASES) / groups

    def demand(self, wanted: int, step_s: float) -> Demand:
        """Return how many external groups a step has been using, given that this one wants `wanted`.

        `step_s`: seconds from one step to the next. If steps use none, one is pulled now and then. Otherwise
        the cost of verifying would never be measured again, and one costly record could end sharing.
        """
        self._wanted.append(wanted)
        groups = math.ceil(sum(self._wanted) / len(self._wanted))
        return Demand(groups, step_s) if groups else Demand(1, PROBE_STEPS * GossipLimits().overpull * step_s)

    def _costs(self) -> GroupCosts | None:
        record_s = self._verification.record_s
        if self._own_s is None or record_s is None:
            return None
        return GroupCosts(self._own_s, GossipLimits().overpull * record_s)
