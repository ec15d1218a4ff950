"""Keeps the right answers that a peer saw, its own and others', and chooses which ones a step studies.

Studying is supervised training. A policy gradient trains on an answer once, next to wrong ones. To learn a
task that it fails at, a policy needs thousands of different right answers, each of them several times, and
mixed with those to everything else it can do (docs/decisions/0053-study.md).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence

from swarmd.groups import ScoredGroup
from swarmd.images import Images
from swarmd.learning.lessons import lesson_of, of_json, to_json

LESSONS_MAX = 16_384
"""Of all families together. Beyond this, the family with the most lessons drops its oldest."""

TEXT_BYTES_MAX = 1_024
"""UTF-8 bytes of a lesson's question and answer, all turns included, plus the bytes of its pixels. So there
are at most 16 MiB of text, and questions with images of usual sizes are not studied. As JSON, a lesson takes
about 500 bytes more, and some characters take several bytes.
"""

LESSONS_MIN = 32
"""Different questions of a family that is studied: fewer are too much alike, and training on them again would
teach these answers instead of the task.
"""

USES_MAX = 32
"""Updates that train on one lesson, so that a single answer cannot become the rule."""

_Key = tuple[str, str, Images]
"""Publisher, question, and what the question shows."""

State = dict[str, list[tuple[str, int]]]
"""Task id -> lessons, oldest first, each with its number of uses."""


class Study:
    """Chooses what to study. A lesson is a question with one right answer by one publisher."""

    def __init__(self) -> None:
        self._by_task: dict[bytes, dict[_Key, tuple[ScoredGroup, int]]] = {}
        self._kept = 0

    def see(self, groups: Sequence[ScoredGroup]) -> None:
        """Keep one wholly right answer from each group; from external groups only if it is bare.

        Of a publisher's answers to one question, the newest is kept. It replaces no answer by anybody else.
        Otherwise a publisher that repeats the questions of others could replace all of their answers.
        """
        for group in groups:
            if (lesson := lesson_of(group, TEXT_BYTES_MAX)) is not None and lesson.is_all_right:
                self._add(lesson)

    def draw(
        self,
        updates: int,
        answers: int,
        *,
        tasks: Collection[bytes],
        trust: Callable[[str], float],
        rng: random.Random,
    ) -> list[list[ScoredGroup]]:
        """Draw lessons for at most `updates` updates with `answers` lessons each. All families are equally
        likely, and no lesson is drawn twice. If there are too few lessons, there are fewer updates.

        `tasks`: ids of the families that the swarm has now; an earlier version of its rules may have had
        others. `trust` is the trust in a publisher; 0 means ignored.
        """
        if updates == 0:
            return []
        open_ = {
            task: [
                key
                for key, (lesson, uses) in lessons.items()
                if uses < USES_MAX and trust(lesson.publisher) > 0
            ]
            for task, lessons in self._by_task.items()
            if task in tasks
        }
        open_ = {
            task: keys
            for task, keys in open_.items()
            if len({(question, images) for _, question, images in keys}) >= LESSONS_MIN
        }
        count = min(updates, sum(map(len, open_.values())) // answers) * answers
        drawn: list[ScoredGroup] = []
        for keys in open_.values():
            rng.shuffle(keys)
        while len(drawn) < count:
            task = rng.choice(list(open_))
            drawn.append(self._use(task, open_[task].pop()))
            if not open_[task]:
                del open_[task]
        return [drawn[start : start + answers] for start in range(0, count, answers)]

    def to_state(self) -> State:
        """The state as JSON."""
        return {
            task.hex(): [(to_json(lesson), uses) for lesson, uses in lessons.values()]
            for task, lessons in self._by_task.items()
        }

    def restore(self, state: Mapping[str, Sequence[tuple[str, int]]]) -> None:
        """Restore the result of `to_state`. Raises pydantic.ValidationError for anything else."""
        self._by_task, self._kept = {}, 0
        for lessons in state.values():
            for text, uses in lessons:
                self._add(of_json(text), uses)

    def _add(self, lesson: ScoredGroup, uses: int = 0) -> None:
        kept, key = (
            self._by_task.setdefault(lesson.task_id, {}),
            (lesson.publisher, lesson.question, lesson.images),
        )
        _, before = kept.pop(key, (None, None))
        kept[key] = (lesson, uses if before is None else before)
        self._kept += before is None
        if self._kept > LESSONS_MAX:
            largest = max(self._by_task.values(), key=len)
            del largest[next(iter(largest))]
            self._kept -= 1

    def _use(self, task: bytes, key: _Key) -> ScoredGroup:
        lesson, uses = self._by_task[task][key]
        self._by_task[task][key] = (lesson, uses + 1)
        return lesson
