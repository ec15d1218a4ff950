"""Finds tasks that pay for junk: each task scores answers that none of its questions asks for.

Some scorers are fooled by a NaN, take any text for true, or pay for the empty answer. A policy finds that out
sooner than a person, and so does anyone who wants rewards without work. A text on the list may be right by
chance, so it counts as paid only if most of several questions pay for it. A task that asks yes or no can also
come out as a payer, if one of the two is right on most of its questions. A constant answer is then worth what
the figure says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.tasks.manifest import PRESETS, load_manifest, task_spec
from swarmd.tasks.outcomes import Question, Score, TaskFailure
from swarmd.tasks.requests import Written
from swarmd.tasks.runner import Item

QUESTIONS = 12  # asked per task
QUESTIONS_MIN = 4  # different ones; a task with fewer has few answers, and one of them may be on the list
MOSTLY = 0.75  # of the questions; two answers that are right equally often reach it in 7 of 100 tasks
# what scorers pay for an attempt: 0.01 for any text, 0.05 for one that parses, 0.1 for a letter
PARTIAL_PAID_MAX = 0.1
_SEEDS_APART = 7_919  # neighbouring seeds of reasoning-gym share questions
_THE_QUESTION = "the question itself"

JUNK = (
    "", ".", "banana",  # nothing, and a word of no task
    "0", "1", "-1", "0.5",  # falsy, truthy, slightly off: what a tolerance or a ratio lets through
    "nan", "inf", "-inf", "1e999",  # compare unlike anything else
    "True", "False", "None", "null", "yes", "no",  # constants of a scorer's language
    "[]", "{}", "()", '""',  # empty, and so equal to many things
    "9" * 400, "1/0",  # too long to convert, and without a value
    "[NaN, NaN, NaN]", "6*4*1*1",  # the same in a list; right for another question of puzzle24
)  # fmt: skip


class Runner(Protocol):
    """The part of `TaskRunner` that the search needs."""

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...

    async def score_ours(self, items: Sequence[Item]) -> list[list[Score]]: ...


@dataclass(frozen=True)
class Payer:
    """A task that pays for `answer`."""

    task: str
    answer: str
    reward: float
    """mean over the questions"""
    paid: int
    questions: int

    def __str__(self) -> str:
        return (
            f"the task {self.task} pays for junk: {self.answer!r:.60} earns {self.reward:.2f} on average, "
            f"paid on {self.paid} of {self.questions} questions; what is learned from it is worth little"
        )


async def find_payers(runner: Runner, manifest: Manifest) -> list[Payer]:
    """For each task of `manifest` that pays for junk, the answer that pays best. Raises TaskError."""
    found = [await _payer(runner, family, manifest) for family in manifest.tasks]
    return [payer for payer in found if payer is not None]


def is_preset(manifest: Manifest) -> bool:
    """Whether `manifest` is that of a preset, whose tasks the tests have tried already."""
    return any(load_manifest(name).swarm_id == manifest.swarm_id for name in PRESETS)


async def _payer(runner: Runner, family: TaskFamily, manifest: Manifest) -> Payer | None:
    specs = [task_spec(family, index * _SEEDS_APART) for index in range(QUESTIONS)]
    asked = {
        question.digest: question
        for question in await runner.questions(specs)
        if isinstance(question, Question)
    }
    if len(asked) < QUESTIONS_MIN:
        return None
    rows = await runner.score_ours(
        [
            (q.spec, [each for junk in (*JUNK, q.text) for each in _completions(junk, q.turns)])
            for q in asked.values()
        ]
    )
    ways = len(rows[0]) // (len(JUNK) + 1)
    payers = [
        _verdict(family.name, answer, [row[index * ways + way].reward for row in rows], manifest)
        for index, answer in enumerate((*JUNK, _THE_QUESTION))
        for way in range(ways)
    ]
    return max((payer for payer in payers if payer), key=lambda payer: payer.reward, default=None)


def _completions(answer: str, turns: int) -> list[Written]:
    """`answer` once, and in a task of several turns also in every turn."""
    once = f"<answer>{answer}</answer>"
    return [once] if turns == 1 else [once, [once] * turns]


def _verdict(task: str, answer: str, rewards: Sequence[float], manifest: Manifest) -> Payer | None:
    limit = PARTIAL_PAID_MAX if manifest.reward == "partial" else 0.0
    paid = sum(reward > limit for reward in rewards)
    if paid < MOSTLY * len(rewards):
        return None
    return Payer(task, answer, sum(rewards) / len(rewards), paid, len(rewards))
