"""Tests model judges on held-out answers of known truth before they are used.

Right answers come from the task; wrong ones are the answers to other questions. The task's verifier decides
which is which. If a task gives no answers, its judges stay uncalibrated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.judges.calibration import calibrated
from swarmd.judges.interface import Pair
from swarmd.judges.panel import Panel
from swarmd.judges.wording import is_judged
from swarmd.tasks import (
    CLOSING_TAG,
    OPENING_TAG,
    Item,
    NoHeldOutQuestionError,
    Question,
    Score,
    TaskFailure,
    held_out_questions,
    held_out_seed,
)
from swarmd.tasks.rewards import EXACT_FROM_MICRO

QUESTIONS = 64  # per task: two answers each, half of them for fitting; agreement is accurate to five points


class Tasks(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def held_out(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...
    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]: ...
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
    gold = await tasks.expected([question.spec for question in questions])
    answered = [(q, a) for q, a in zip(questions, gold, strict=True) if a is not None and is_judged(a)]
    others = [answer for _, answer in answered]
    items = [
        (question.spec, [_completion(answer), _completion(others[(index + 1) % len(others)])])
        for index, (question, answer) in enumerate(answered)
    ]
    pairs: list[Pair] = []
    right: list[bool] = []
    for index, ((question, answer), row) in enumerate(
        zip(answered, await tasks.score_ours(items), strict=True)
    ):
        two = [Pair(question.text, answer), Pair(question.text, others[(index + 1) % len(others)])]
        true = [score.reward >= EXACT_FROM_MICRO / 1e6 for score in row]
        order = slice(None) if index % 4 < 2 else slice(None, None, -1)  # both halves get both kinds
        pairs += two[order]
        right += true[order]
    return pairs, right


def _completion(answer: str) -> str:
    return f"{OPENING_TAG}{answer}{CLOSING_TAG}"
