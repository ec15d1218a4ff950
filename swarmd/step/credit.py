"""What a group did for this peer: how much likelier held-out right answers became in the step.

Before and after a step, this peer measures the likelihood of right answers to held-out questions: a few from
each task family in the step, and from one that the step does not train. No other peer knows these questions,
because each peer draws its own. The unit is nats per answer.

    gain of a group = (change of its family - change of a family without groups) / groups of its family

The subtraction removes whatever a step does to all families. Groups of one family, including this peer's own
and its lessons, share its change equally, because their effects within one step cannot be separated. A
publisher's credit is the mean over its groups, so volume does not increase it. Compare Gauntlet (arXiv
2505.21684), which measures a contribution by the loss before and after it.

Pure: it measures nothing itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocol import is_person
from swarmd.groups import ScoredGroup

Likelihood = Mapping[bytes, float]
"""Task id -> mean logprob of a held-out right answer, in nats."""


NATS_MAX = 2.0
"""Largest absolute value of one measurement, so that one step full of other changes does not decide a
mean."""


@dataclass(frozen=True)
class Gain:
    """What one group contributed."""

    publisher: str
    people: bool
    """Whether the group claims to be written by a person."""
    nats: float
    """Per held-out answer of its family, at most NATS_MAX; negative if the answer became less likely."""


def taught(own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> Counter[bytes]:
    """Task id -> number of groups by which a step trains the family. `own`: lessons, and own groups, which
    train nothing if their rewards are equal."""
    return Counter(group.task_id for group in (*own, *external) if group.external or group.is_informative)


def gains(
    before: Likelihood, after: Likelihood, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]
) -> list[Gain]:
    """One gain for each group in `external` whose family was measured both before and after. `own`: as for
    `taught`."""
    both = {task: after[task] - before[task] for task in before.keys() & after.keys()}
    changes = {task: change for task, change in both.items() if math.isfinite(change)}
    groups = taught(own, external)
    untouched = [change for task, change in changes.items() if task not in groups]
    drift = sum(untouched) / len(untouched) if untouched else 0.0
    return [
        Gain(
            group.publisher,
            is_person(group.model),
            max(-NATS_MAX, min(NATS_MAX, (changes[group.task_id] - drift) / groups[group.task_id])),
        )
        for group in external
        if group.task_id in changes
    ]
