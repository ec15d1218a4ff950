"""Measures how likely a policy finds right answers to held-out questions, per task family.

Right answers come from the task's source. The measure does not exist for sources that give none, or for tasks
of several turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from protocol import Manifest, TaskSpec
from swarmd.images import Images
from swarmd.logprobs import TokenRow
from swarmd.policy import Policy
from swarmd.tasks import CLOSING_TAG, OPENING_TAG, Question, held_out_questions
from swarmd.tasks.draw import HeldOutSource

PER_FAMILY = 8
"""Questions per family. A step changes all of them similarly, so a few are enough."""

ANSWER_BYTES_MAX = 1_024
"""UTF-8 bytes of a right answer. Longer answers would take more time to evaluate than a step allows."""


class GoldSource(HeldOutSource, Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def expected(self, specs: Sequence[TaskSpec]) -> Sequence[str | None]: ...


@dataclass(frozen=True)
class Gold:
    """A held-out question and a right answer to it."""

    question: str
    answer: str
    images: Images = ()


GoldByTask = Mapping[bytes, Sequence[Gold]]


async def draw_gold(source: GoldSource, manifest: Manifest, seed: int) -> GoldByTask:
    """`PER_FAMILY` held-out questions per family, with answers. Families without answers are left out.

    Raises NoHeldOutQuestionError if no family has any, and TaskError.
    """
    questions = await held_out_questions(source, manifest.tasks, seed, PER_FAMILY * len(manifest.tasks))
    single = list({each.digest: each for each in questions if each.turns == 1}.values())
    found: defaultdict[bytes, list[Gold]] = defaultdict(list)
    for question, answer in zip(single, await source.expected([each.spec for each in single]), strict=True):
        if answer is not None and len(answer.encode()) <= ANSWER_BYTES_MAX:
            found[question.spec.task_id].append(_gold(question, answer))
    return found


def _gold(question: Question, answer: str) -> Gold:
    return Gold(question.text, f"{OPENING_TAG}{answer}{CLOSING_TAG}", question.images)


def likelihood(policy: Policy, gold: GoldByTask, tasks: Collection[bytes]) -> dict[bytes, float]:
    """Task id -> mean logprob of a right answer, in nats. Includes only those of `tasks` that have answers,
    and only questions that fit the policy's context. Runs in the model thread and changes nothing."""
    means: dict[bytes, float] = {}
    for task in tasks:
        rows = [
            TokenRow(prompt, policy.encode_completion(each.answer, True, len(prompt)))
            for each in gold.get(task, ())
            if policy.fits(each.question, images=each.images)
            for prompt in [policy.render(each.question, images=each.images)]
        ]
        if rows:
            means[task] = sum(_sums(policy, rows)) / len(rows)
    return means


def _sums(policy: Policy, rows: Sequence[TokenRow]) -> list[float]:
    """The logprob of each row's completion, computed in as many passes as memory requires."""
    if len(rows) > 1 and policy.budget_tokens(rows) > policy.budgets.budgets.train_tokens:
        half = len(rows) // 2
        return _sums(policy, rows[:half]) + _sums(policy, rows[half:])
    with torch.no_grad():
        logprobs, mask = policy.logprobs(rows, temperature=1.0)
    sums: list[float] = logprobs.masked_fill(~mask, 0.0).sum(dim=1).tolist()
    return sums
