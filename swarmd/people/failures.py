"""Tracks which questions peers fail most, from this peer's own groups and external groups as scored here.

Pure and bounded. It stores task specs and counts, but no text: a question is regenerated when it is asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, replace

from protocol import TaskSpec
from swarmd.groups import ScoredGroup
from swarmd.step.evaluation import RIGHT_FROM

QUESTIONS_MAX = 512
"""The newest questions: some minutes of a fast peer, half a day of a slow one. At most a kilobyte each."""


@dataclass(frozen=True)
class Tally:
    """How often a question was answered right."""

    right: int = 0
    tries: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.tries + other.tries)

    @property
    def success(self) -> float:
        """In [0, 1]; 0 if there were no tries."""
        return self.right / self.tries if self.tries else 0.0


@dataclass(frozen=True)
class Asked:
    """A question that policies were asked."""

    spec: TaskSpec
    digest: bytes
    task: str
    """Name of the question's task."""
    own: Tally = Tally()
    """Tries by this peer's policy."""
    others: Tally = Tally()
    """Tries by other peers' policies, as scored here."""

    @property
    def all(self) -> Tally:
        return self.own.plus(self.others)


class Failures:
    """Remembers which questions were asked recently."""

    def __init__(self) -> None:
        self._asked: dict[bytes, Asked] = {}

    def see(self, spec: TaskSpec, digest: bytes, group: ScoredGroup) -> None:
        """Record a policy's group for the question of `spec`, scored here. A group that no judge judged
        counts as nothing."""
        if not group.is_judged:
            return
        before = self._asked.pop(digest, Asked(spec, digest, group.task_name))
        tally = Tally(sum(reward >= RIGHT_FROM for reward in group.rewards), len(group.rewards))
        self._asked[digest] = (
            replace(before, others=before.others.plus(tally))
            if group.external
            else replace(before, own=before.own.plus(tally))
        )
        if len(self._asked) > QUESTIONS_MAX:
            del self._asked[next(iter(self._asked))]

    def most_failed(self, without: Container[bytes] = ()) -> Asked | None:
        """The question with the least success; if tied, one from the task with the least success, then the
        one with the most tries, then the newest. `without`: digests of unwanted questions. None if none is
        left, or if all that are left were always answered right."""
        of_task: defaultdict[str, Tally] = defaultdict(Tally)
        for asked in self._asked.values():
            of_task[asked.task] = of_task[asked.task].plus(asked.all)
        left = [asked for asked in reversed(self._asked.values()) if asked.digest not in without]
        failed = [asked for asked in left if asked.all.success < 1.0]
        return min(
            failed,
            key=lambda asked: (asked.all.success, of_task[asked.task].success, -asked.all.tries),
            default=None,
        )
