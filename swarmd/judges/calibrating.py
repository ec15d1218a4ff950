"""Tests model judges on held-out answers of known truth before they are used.

Right answers come from the task; wrong ones are the answers to other questions. Of a task with several turns,
the right answers are a whole conversation, and the wrong ones differ from it in the last turn, which another
question's answer replaces and repeats. The task's verifier decides which is which. If a task gives no
answers, its judges stay uncalibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.judges.calibration import calibrated
from swarmd.judges.interface import Pair
from swarmd.judges.panel import Panel
from swarmd.judges.showing import shown
from swarmd.tasks import (
    Item,
    NoHeldOutQuestionError,
    Question,
    Score,
    TaskFailure,
    Written,
    held_out_questions,
    held_out_seed,
)
from swarmd.tasks.episodes import Solution
from swarmd.tasks.prompt import tagged
from swarmd.tasks.rewards import EXACT_FROM_MICRO

QUESTIONS = 64  # per task: two answers each, half of them for fitting; agreement is accurate to five points


class Tasks(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def held_out(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...
    async def solutions(self, specs: Sequence[TaskSpec]) -> list[Solution | None]: ...
    async def score_ours(self, items: Sequence[Item]) -> list[list[Score]]: ...


async def calibrate(panel: Panel, tasks: Tasks, manifest: Manifest) -> None:
    """Calibrate each model judge of `panel` for each task that it judges.

    Raises TaskError, and ModelError if a judge returns values that are not probabilities.
    """
    for family in manifest.tasks:
        keys = panel.models_of(family.task_id)
        if not keys:
            continue
        pairs, right = await _known_answers(tasks, family, held_out_seed(manifest))
        for key in keys if pairs else ():
            panel.calibrations[family.task_id, key] = calibrated(await panel.ask(key, pairs), right)


async def _known_answers(tasks: Tasks, family: TaskFamily, seed: int) -> tuple[list[Pair], list[bool]]:
    """Answers to held-out questions, and whether each is right. Ordered so that both halves are alike."""
    try:
        questions = await held_out_questions(tasks, [family], seed, QUESTIONS)
    except NoHeldOutQuestionError:
        return [], []
    known = {question.digest: question for question in questions}
    questions = list(known.values())
    solved = await tasks.solutions([question.spec for question in questions])
    answered = [(q, found.answers) for q, found in zip(questions, solved, strict=True) if found is not None]
    last = [answers[-1] for _, answers in answered]
    items = [
        (question, [_written(question, answers), _written(question, _spoiled(question, answers, other))])
        for (question, answers), other in zip(answered, [*last[1:], *last[:1]], strict=True)
    ]
    scores = await tasks.score_ours([(question.spec, texts) for question, texts in items])
    pairs: list[Pair] = []
    right: list[bool] = []
    for (question, texts), row in zip(items, scores, strict=True):
        two = [shown(question, text, score) for text, score in zip(texts, row, strict=True)]
        seen = [pair for pair in two if pair is not None]
        if len(seen) < len(two):
            continue
        true = [score.reward >= EXACT_FROM_MICRO / 1e6 for score in row]
        order = slice(None) if len(pairs) % 8 < 4 else slice(None, None, -1)  # both halves get both kinds
        pairs += seen[order]
        right += true[order]
    return pairs, right


def _spoiled(question: Question, answers: Sequence[str], other: str) -> Sequence[str]:
    """The answers with another question's in place of the last, repeated until no turn is left."""
    return [*answers[:-1], *[other] * (question.turns - len(answers) + 1)]


def _written(question: Question, answers: Sequence[str]) -> Written:
    texts = tuple(map(tagged, answers))
    return texts[0] if question.is_plain else texts
