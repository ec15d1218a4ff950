"""Keeps right answers for a while to train on them again: this peer's own, and those of other peers.

If few peers can solve a task, few right answers to it arrive: too few for a failing peer to learn from. Each
step also trains on as many own answers, so that this peer does not forget what it could do.

Nothing is rehearsed if all peers fail at a task. The first right answers are then few and alike, and training
on them again would teach these answers instead of the task (docs/decisions/0025-what-others-can.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence

from swarmd.groups import ScoredGroup
from swarmd.learning.lessons import lesson_of, of_json, to_json

LESSONS_PER_FAMILY = 64
"""The oldest lessons are dropped first. Enough for dozens of steps; newer ones come from better policies."""

FAMILIES_MAX = 64
"""Beyond this many task families, the one that got a lesson longest ago is dropped."""

TEXT_BYTES_MAX = 2_048
"""UTF-8 bytes of a lesson's question and answer plus the bytes of its pixels. With the other bounds, a
checkpoint holds at most 16 MiB of lessons. As a result, questions with images are not rehearsed."""

USES_MAX = 8
"""Steps that train on one lesson, so that a single answer cannot become the rule."""

ABLE = 0.2
"""Success that other peers must have on a family. Below it, their right answers are few and alike."""

BEHIND = 0.5
"""A peer rehearses a family while its own success is below this share of other peers' success."""

Shelf = list[tuple[str, int]]
State = dict[str, dict[str, Shelf]]
""""others" or "own" -> task id -> lessons."""


class Rehearsal:
    """Chooses what a step trains on again. A lesson is a question with one right answer."""

    def __init__(self) -> None:
        self._others = _Lessons()
        self._own = _Lessons()

    def see(self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> None:
        """Keep one right answer from each group; from external groups only if it is bare."""
        for shelf, groups in ((self._own, own), (self._others, external)):
            for group in groups:
                if (lesson := lesson_of(group, TEXT_BYTES_MAX)) is not None:
                    shelf.add(lesson)

    def draw(
        self,
        count: int,
        *,
        tasks: Collection[bytes],
        own: Mapping[bytes, float],
        others: Mapping[bytes, float],
        trust: Callable[[str], float],
        rng: random.Random,
    ) -> list[ScoredGroup]:
        """Draw at most `count` external lessons, and as many own ones. All families are equally likely.

        `tasks`: ids of the families that the swarm has now; an earlier version of its rules may have had
        others. `own` and `others` are success by task id, of this peer and of other peers. `trust` is the
        trust in a publisher; 0 means ignored.
        """
        behind = {task for task in tasks if _is_behind(own.get(task, 0.0), others.get(task, 0.0))}
        able = {*tasks} - behind
        needed = self._others.draw(
            count, lambda lesson: lesson.task_id in behind and trust(lesson.publisher) > 0, rng
        )
        return needed + self._own.draw(len(needed), lambda lesson: lesson.task_id in able, rng)

    def to_state(self) -> State:
        """The state as JSON."""
        return {"others": self._others.to_state(), "own": self._own.to_state()}

    def restore(self, state: State) -> None:
        """Restore the result of `to_state`. Raises pydantic.ValidationError for anything else."""
        self._others.restore(state.get("others", {}))
        self._own.restore(state.get("own", {}))


class _Lessons:
    """Lessons by task family, each with its number of uses."""

    def __init__(self) -> None:
        self._by_task: dict[bytes, list[tuple[ScoredGroup, int]]] = {}

    def add(self, lesson: ScoredGroup) -> None:
        kept = self._by_task.pop(lesson.task_id, [])
        self._by_task[lesson.task_id] = [*kept, (lesson, 0)][-LESSONS_PER_FAMILY:]
        if len(self._by_task) > FAMILIES_MAX:
            del self._by_task[next(iter(self._by_task))]

    def draw(
        self, count: int, wanted: Callable[[ScoredGroup], bool], rng: random.Random
    ) -> list[ScoredGroup]:
        open_ = {
            task: [n for n, (lesson, uses) in enumerate(lessons) if uses < USES_MAX and wanted(lesson)]
            for task, lessons in self._by_task.items()
        }
        drawn: list[ScoredGroup] = []
        while len(drawn) < count and (tasks := [task for task, indices in open_.items() if indices]):
            task = rng.choice(tasks)
            index = open_[task].pop(rng.randrange(len(open_[task])))
            lesson, uses = self._by_task[task][index]
            self._by_task[task][index] = (lesson, uses + 1)
            drawn.append(lesson)
        return drawn

    def to_state(self) -> dict[str, Shelf]:
        return {
            task.hex(): [(to_json(lesson), uses) for lesson, uses in lessons]
            for task, lessons in self._by_task.items()
        }

    def restore(self, state: Mapping[str, Shelf]) -> None:
        self._by_task = {
            bytes.fromhex(task): [(of_json(text), uses) for text, uses in lessons]
            for task, lessons in state.items()
        }


def _is_behind(own: float, theirs: float) -> bool:
    return theirs >= ABLE and own < BEHIND * theirs
