"""What a group did for this peer: how much likelier its policy made held-out right answers after the step.

Before and after a step the policy says how likely it finds right answers to held-out questions, a few of each
task family that the step trains on, and of one that it does not. Nobody knows these questions: each peer
draws its own. The unit is nats per answer.

    gain of a group = (change of its family - change of a family without groups) / groups of its family

So what a step does to everything is nobody's credit. The groups of one family share its change alike, this
peer's own included: their effects on one step cannot be told apart. The mean over groups is a publisher's
credit, so volume adds nothing to it. Compare Gauntlet (arXiv 2505.21684), which measures a contribution by
the loss before and after it.

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
"""Task id -> mean log-probability of a held-out right answer, in nats."""


NATS_MAX = 2.0
"""Of one measurement, either way: a single step in which much else happened decides no mean."""


@dataclass(frozen=True)
class Gain:
    """What one group did."""

    publisher: str
    people: bool
    """Whether it says that a person wrote it."""
    nats: float
    """Per held-out answer of its family, at most NATS_MAX; negative if that became less likely."""


def gains(
    before: Likelihood, after: Likelihood, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]
) -> list[Gain]:
    """One gain for each group of `external` whose family was measured both times."""
    both = {task: after[task] - before[task] for task in before.keys() & after.keys()}
    changes = {task: change for task, change in both.items() if math.isfinite(change)}
    taught = Counter(group.task_id for group in (*[each for each in own if each.is_informative], *external))
    untouched = [change for task, change in changes.items() if task not in taught]
    drift = sum(untouched) / len(untouched) if untouched else 0.0
    return [
        Gain(
            group.publisher,
            is_person(group.model),
            max(-NATS_MAX, min(NATS_MAX, (changes[group.task_id] - drift) / taught[group.task_id])),
        )
        for group in external
        if group.task_id in changes
    ]
