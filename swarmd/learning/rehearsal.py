"""Others' right answers that this peer still needs: kept for a while, and trained on again.

Where few peers know a task, few right answers to it arrive: fewer than a peer that fails at it can learn
from. Where all fail alike nothing is rehearsed. The first right answers are few and alike there, and training
on them again would teach these answers instead of the task (docs/decisions/0025-what-others-can.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from pydantic import ConfigDict, TypeAdapter

from swarmd.groups import ScoredGroup

LESSONS_PER_FAMILY = 64
"""Lessons; the oldest go first. Some dozens of steps' worth: the answers of peers that have learned since."""

FAMILIES_MAX = 64
"""Task families; beyond it, those learned from longest ago are forgotten."""

TEXT_BYTES_MAX = 2_048
"""UTF-8 bytes of a lesson's question and answer: with the other bounds, 8 MiB in a checkpoint at most."""

USES_MAX = 8
"""Steps that train on one lesson, so that a single answer cannot become the rule."""

ABLE = 0.25
"""Mean reward that others must show on a family. Groups without a right answer are not published, so even the
groups of peers that are hardly ever right show 0.125, one of eight."""

BEHIND = 0.5
"""A peer rehearses a family while its own success is below this share of what others show."""

State = dict[str, list[tuple[str, int]]]

_GROUP = TypeAdapter(list[ScoredGroup], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


class Rehearsal:
    """Lessons by task family: a question of another peer with one right answer, and how often it was used."""

    def __init__(self) -> None:
        self._lessons: dict[bytes, list[tuple[ScoredGroup, int]]] = {}

    def see(self, external: Sequence[ScoredGroup]) -> None:
        """Keep one right answer of each of these groups of others, if it is bare and not too long."""
        for group in external:
            lesson = _lesson(group)
            if lesson is None:
                continue
            kept = self._lessons.pop(group.task_id, [])
            self._lessons[group.task_id] = [*kept, (lesson, 0)][-LESSONS_PER_FAMILY:]
            if len(self._lessons) > FAMILIES_MAX:
                del self._lessons[next(iter(self._lessons))]

    def draw(
        self,
        count: int,
        *,
        own: Mapping[bytes, float],
        others: Mapping[bytes, float],
        trust: Callable[[str], float],
        rng: random.Random,
    ) -> list[ScoredGroup]:
        """At most `count` lessons, each as a group of one right answer; each family as likely as any other.

        `own` and `others`: mean reward by task id, of own groups and of those that others show. `trust` in a
        publisher: 0 is ignored.
        """
        behind = {task for task, shown in others.items() if _is_behind(own.get(task, 0.0), shown)}
        open_ = {
            task: [
                index
                for index, (lesson, uses) in enumerate(lessons)
                if uses < USES_MAX and trust(lesson.publisher) > 0
            ]
            for task, lessons in self._lessons.items()
            if task in behind
        }
        drawn: list[ScoredGroup] = []
        while len(drawn) < count and (tasks := [task for task, indices in open_.items() if indices]):
            task = rng.choice(tasks)
            index = open_[task].pop(rng.randrange(len(open_[task])))
            lesson, uses = self._lessons[task][index]
            self._lessons[task][index] = (lesson, uses + 1)
            drawn.append(lesson)
        return drawn

    def to_state(self) -> State:
        """The state as JSON holds it."""
        return {
            task.hex(): [(_GROUP.dump_json([lesson]).decode(), uses) for lesson, uses in lessons]
            for task, lessons in self._lessons.items()
        }

    def restore(self, state: State) -> None:
        """Put back what `to_state` gave. Raises pydantic.ValidationError for anything else."""
        self._lessons = {
            bytes.fromhex(task): [(_GROUP.validate_json(text)[0], uses) for text, uses in lessons]
            for task, lessons in state.items()
        }


def _is_behind(own: float, shown: float) -> bool:
    return shown >= ABLE and own < BEHIND * shown


def _lesson(group: ScoredGroup) -> ScoredGroup | None:
    """`group` with its best bare answer alone; None if it has no right one."""
    best = max((c for c in group.completions if c.bare), key=lambda c: c.reward, default=None)
    if best is None or not (group.is_all_right or best.reward > group.mean_reward):
        return None
    if len(group.question.encode()) + len(best.text.encode()) > TEXT_BYTES_MAX:
        return None
    return replace(group, completions=(best,))
