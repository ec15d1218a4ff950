"""Which questions peers fail most, by what this peer has seen: its own groups, and others' as scored here.

Pure and bounded. It keeps task specs and counts, no text: a question is made again when it is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container
from dataclasses import dataclass, replace

from protocol import TaskSpec
from swarmd.groups import ScoredGroup
from swarmd.step.evaluation import RIGHT_FROM

QUESTIONS_MAX = 512
"""Questions, the newest: some minutes of a quick peer, half a day of a slow one. A kilobyte each at most."""


@dataclass(frozen=True)
class Tally:
    """How often a question was answered right."""

    right: int = 0
    tries: int = 0

    def plus(self, other: Tally) -> Tally:
        return Tally(self.right + other.right, self.tries + other.tries)

    @property
    def success(self) -> float:
        """In [0, 1]; 0 without a try."""
        return self.right / self.tries if self.tries else 0.0


@dataclass(frozen=True)
class Asked:
    """A question that was put to policies."""

    spec: TaskSpec
    digest: bytes
    task: str
    """Name of its task."""
    own: Tally = Tally()
    """Tries of this peer's policy."""
    others: Tally = Tally()
    """Tries of other peers' policies, as scored here."""

    @property
    def all(self) -> Tally:
        return self.own.plus(self.others)


class Failures:
    """Remembers what was asked lately."""

    def __init__(self) -> None:
        self._asked: dict[bytes, Asked] = {}

    def see(self, spec: TaskSpec, digest: bytes, group: ScoredGroup) -> None:
        """A policy's group to the question of `spec`, scored here."""
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
        """The question with the least success: of equals one of the task with the least, then the one tried
        most, then the newest. `without`: digests of questions that are not wanted. None if none is left, or
        if what is left was always answered right."""
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
