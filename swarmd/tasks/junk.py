"""Finds tasks that reward junk, by scoring answers that none of their questions asks for.

Some scorers are fooled by NaN, accept any text as true, or reward the empty answer. A policy discovers this
sooner than a person, and so does a peer that wants rewards without work. A junk answer may be right by
chance, so it counts as paid only if most of several questions pay for it. A yes-or-no task can also be
reported, if one of the two answers is right for most of its questions. The reported reward is then what that
constant answer earns.
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
QUESTIONS_MIN = 4  # different ones; a task with fewer has few answers, and one of them may be in `JUNK`
MOSTLY = 0.75  # of the questions; of two equally likely answers, one reaches this in 7 of 100 tasks
# what scorers pay for an attempt: 0.01 for any text, 0.05 if it parses, 0.1 for a letter
PARTIAL_PAID_MAX = 0.1
_SEEDS_APART = 7_919  # neighbouring seeds of reasoning-gym share questions
_THE_QUESTION = "the question itself"

JUNK = (
        "", ".", "banana",  # nothing, and a word that fits no task
        "0", "1", "-1", "0.5",  # falsy, truthy, slightly off: accepted through a tolerance or a ratio
        "nan", "inf", "-inf", "1e999",  # compare unlike any other number
    "True", "False", "None", "null", "yes", "no",  # constants of a scorer's language
    "[]", "{}", "()", '""',  # empty, and so equal to many things
        "9" * 400, "1/0",  # too long to convert; without a value
        "[NaN, NaN, NaN]", "6*4*1*1",  # NaN in a list; right for some question of puzzle24
)  # fmt: skip


class Runner(Protocol):
    """The part of `TaskRunner` needed here."""

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...

    async def score_ours(self, items: Sequence[Item]) -> list[list[Score]]: ...


@dataclass(frozen=True)
class Payer:
    """A task that rewards the junk answer `answer`."""

    task: str
    answer: str
    reward: float
    """mean over the questions"""
    paid: int
    questions: int

    def __str__(self) -> str:
        return (
            f"the task {self.task} rewards junk: {self.answer!r:.60} earns {self.reward:.2f} on average, "
            f"paid on {self.paid} of {self.questions} questions; training on this task teaches little"
        )


async def find_payers(runner: Runner, manifest: Manifest) -> list[Payer]:
    """For each task of `manifest` that rewards junk, its best-paid junk answer. Raises TaskError."""
    found = [await _payer(runner, family, manifest) for family in manifest.tasks]
    return [payer for payer in found if payer is not None]


def is_preset(manifest: Manifest) -> bool:
    """Whether `manifest` is a preset's, whose tasks are covered by tests."""
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
    """A completion that answers once; for a task of several turns, also one that answers in every turn."""
    once = f"<answer>{answer}</answer>"
    return [once] if turns == 1 else [once, [once] * turns]


def _verdict(task: str, answer: str, rewards: Sequence[float], manifest: Manifest) -> Payer | None:
    limit = PARTIAL_PAID_MAX if manifest.reward == "partial" else 0.0
    paid = sum(reward > limit for reward in rewards)
    if paid < MOSTLY * len(rewards):
        return None
    return Payer(task, answer, sum(rewards) / len(rewards), paid, len(rewards))
