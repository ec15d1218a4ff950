"""Training questions follow from peer and seed, held-out questions from their own seed; they never mix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.errors import TaskError
from swarmd.tasks import Question, TaskFailure, TrainingDraw, held_out_questions


class ArithmeticRunner:
    """Stands in for the worker: the question is a function of the spec, of `distinct` different ones."""

    def __init__(self, distinct: int = 10**9, broken: str = "") -> None:
        self.distinct = distinct
        self.broken = broken
        self.asked = 0

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        self.asked += len(specs)
        return [
            TaskFailure(spec, "error", "it is broken")
            if spec.dataset == self.broken
            else Question(spec, f"{spec.dataset} {spec.seed % self.distinct}")
            for spec in specs
        ]

    async def held_out(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        made = await self.questions(specs)
        return [found for found in made if isinstance(found, TaskFailure) or found.held_out]


def family(name: str, weight: int = 1) -> TaskFamily:
    return TaskFamily(name=name, source="s", dataset=name, config="{}", version="1", weight=weight)


def manifest(*families: TaskFamily) -> Manifest:
    return Manifest(
        name="m",
        genesis=0,
        round_seconds=10,
        reward="exact",
        max_new_tokens=8,
        records_per_round_max=8,
        tasks=families,
    )


SWARM = manifest(family("a"), family("b", weight=3))


async def test_the_same_peer_and_seed_draw_the_same_questions_and_others_do_not() -> None:
    runner = ArithmeticRunner()
    drawn = [
        await TrainingDraw(SWARM, peer, seed).draw(runner, 32)
        for peer, seed in [("p", 1), ("p", 1), ("q", 1), ("p", 2)]
    ]
    assert drawn[0] == drawn[1]
    texts = [{question.text for question in part} for part in drawn]
    assert not texts[0] & texts[2]
    assert not texts[0] & texts[3]


async def test_no_training_question_is_held_out_and_weights_are_kept() -> None:
    drawn = await TrainingDraw(SWARM, "p", 0).draw(ArithmeticRunner(), 2_000)
    assert len(drawn) == 2_000
    assert not any(question.held_out for question in drawn)
    counts = Counter(question.spec.dataset for question in drawn)
    assert 0.7 < counts["b"] / 2_000 < 0.8


async def test_a_draw_goes_on_where_its_counter_says() -> None:
    runner = ArithmeticRunner()
    first = TrainingDraw(SWARM, "p", 0)
    await first.draw(runner, 10)
    resumed = TrainingDraw(SWARM, "p", 0, first.counter)
    assert await resumed.draw(runner, 10) == await first.draw(runner, 10)


async def test_seeds_leave_room_for_what_datasets_add_to_them() -> None:
    drawn = await TrainingDraw(SWARM, "p", 0).draw(ArithmeticRunner(), 200)
    assert all(question.spec.seed < 2**31 and question.spec.index == 0 for question in drawn)


async def test_broken_tasks_are_skipped_but_if_nothing_else_can_be_drawn_an_error_says_why() -> None:
    drawn = await TrainingDraw(SWARM, "p", 0).draw(ArithmeticRunner(broken="b"), 8)
    assert {question.spec.dataset for question in drawn} == {"a"}
    runner = ArithmeticRunner(broken="a")
    with pytest.raises(TaskError, match=r"0 of 8 .*it is broken"):
        await TrainingDraw(manifest(family("a")), "p", 0).draw(runner, 8)
    assert runner.asked < 1_000


async def test_evaluation_questions_are_held_out_distinct_evenly_spread_and_repeatable() -> None:
    exam = await held_out_questions(ArithmeticRunner(), SWARM.tasks, seed=5, count=21)
    assert len({question.text for question in exam}) == 21
    assert all(question.held_out for question in exam)
    assert Counter(question.spec.dataset for question in exam) == {"a": 11, "b": 10}
    assert await held_out_questions(ArithmeticRunner(), SWARM.tasks, seed=5, count=21) == exam
    other = await held_out_questions(ArithmeticRunner(), SWARM.tasks, seed=6, count=21)
    assert not {question.text for question in exam} & {question.text for question in other}


async def test_small_tasks_repeat_and_tasks_without_held_out_questions_leave_their_share() -> None:
    small = ArithmeticRunner(distinct=40)
    exam = await held_out_questions(small, [family("a")], seed=0, count=30)
    assert len(exam) == 30
    assert 1 <= len({question.text for question in exam}) < 30
    exam = await held_out_questions(ArithmeticRunner(broken="b"), SWARM.tasks, seed=0, count=10)
    assert [question.spec.dataset for question in exam] == ["a"] * 10
    with pytest.raises(TaskError, match=r"no held-out question was found in a \(a: error it is broken\)"):
        await held_out_questions(ArithmeticRunner(broken="a"), [family("a")], seed=0, count=10)


async def test_a_draw_that_leans_asks_by_its_probabilities_until_it_is_told_otherwise() -> None:
    leaning, plain = TrainingDraw(SWARM, "p", 0), TrainingDraw(SWARM, "p", 0)
    leaning.lean((0.9, 0.1))
    counts = Counter(question.spec.dataset for question in await leaning.draw(ArithmeticRunner(), 2_000))
    assert 0.87 < counts["a"] / 2_000 < 0.93
    leaning.lean(None)
    plain.counter = leaning.counter
    assert await leaning.draw(ArithmeticRunner(), 50) == await plain.draw(ArithmeticRunner(), 50)


@pytest.mark.parametrize("probabilities", [(1.0,), (0.0, 0.0), (1.5, -0.5)])
def test_probabilities_that_are_not_one_per_family_are_refused(probabilities: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="one probability per task family"):
        TrainingDraw(SWARM, "p", 0).lean(probabilities)
