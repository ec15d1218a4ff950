"""Every dataset of reasoning-gym can be a task, and asks the same question in every process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from reasoning_gym.factory import DATASETS

from protocol import TaskSpec
from swarmd.tasks import Question, TaskRunner
from swarmd.tasks.gym import ReasoningGym

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEED = 20_000_003
# The only dataset without a default that works: it mixes others, which must be named.
COMPOSITE = {
    "datasets": [{"name": "gcd", "weight": 1}, {"name": "letter_counting", "config": {"max_words": 9}}]
}


def all_specs(spec: Callable[..., TaskSpec]) -> list[TaskSpec]:
    return [spec(name, seed=SEED, **(COMPOSITE if name == "composite" else {})) for name in sorted(DATASETS)]


async def test_all_106_regenerate_alike_in_two_processes_whatever_came_before(
    runner: TaskRunner, spec: Callable[..., TaskSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = all_specs(spec)
    assert len(specs) == 106
    monkeypatch.setenv("PYTHONHASHSEED", "4711")
    async with TaskRunner(reward="partial") as other, asyncio.TaskGroup() as group:
        forwards = group.create_task(runner.questions(specs))
        backwards = group.create_task(other.questions(specs[::-1]))
    assert [found for found in forwards.result() if not isinstance(found, Question)] == []
    assert backwards.result()[::-1] == forwards.result()


async def test_right_answers_score_in_the_sandbox_as_they_do_outside(
    runner: TaskRunner, spec: Callable[..., TaskSpec]
) -> None:
    specs = all_specs(spec)
    questions = await runner.questions(specs)
    items, expected = [], []
    for item, asked in zip(specs, questions, strict=True):
        task = ReasoningGym().build(item.dataset, COMPOSITE if item.dataset == "composite" else {})
        text, entry = task.question(item.seed, item.index)
        if asked.text == text and entry[1]["answer"] is not None:  # this process has another hash seed
            right = str(entry[1]["answer"]).strip()
            items.append((item, [f"<answer>{right}</answer>"]))
            expected.append((item.dataset, min(1.0, float(task.score(right, entry)))))
    found = [
        (item.dataset, scores[0].reward)
        for (item, _), scores in zip(items, await runner.score(items), strict=True)
    ]
    assert len(found) > 90
    assert found == [(name, pytest.approx(score, abs=1e-6)) for name, score in expected]
