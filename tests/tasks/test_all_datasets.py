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
# The only dataset whose defaults do not work: it mixes other datasets, which must be named.
COMPOSITE = {
    "datasets": [{"name": "gcd", "weight": 1}, {"name": "letter_counting", "config": {"max_words": 9}}]
}
# They iterate over sets of strings: alike in each worker, whose hash seed is fixed, but not in this process.
HASH_ORDERED = {"isomorphic_strings", "polynomial_multiplication", "ransom_note"}
# They accept any right answer and come with none.
WITHOUT_ANSWER = {"boxnet", "graph_color", "propositional_logic", "rubiks_cube", "rush_hour"}


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
    items, expected = [], []
    for item in all_specs(spec):
        task = ReasoningGym().build(item.dataset, COMPOSITE if item.dataset == "composite" else {})
        _, entry = task.question(item.seed, item.index)
        if item.dataset not in HASH_ORDERED and entry[1]["answer"] is not None:
            right = str(entry[1]["answer"]).strip()
            items.append((item, [f"<answer>{right}</answer>"]))
            expected.append(
                (item.dataset, pytest.approx(min(1.0, float(task.score(right, entry))), abs=1e-6))
            )
    scores = await runner.score(items)
    assert len(items) == 106 - len(HASH_ORDERED) - len(WITHOUT_ANSWER)
    assert [
        (item.dataset, group[0].reward) for (item, _), group in zip(items, scores, strict=True)
    ] == expected
