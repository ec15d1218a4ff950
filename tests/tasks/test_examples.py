"""Solved questions that show a model how its answers should look."""

from __future__ import annotations

from collections.abc import Sequence

from protocol import TaskSpec
from swarmd.tasks import Example, Question, prompt_messages, solved_examples
from swarmd.tasks.draw import example_specs
from swarmd.tasks.examples import CHARS_MAX, TRIED_MAX
from tests.tasks.test_draw import SWARM, ArithmeticRunner


class Solver(ArithmeticRunner):
    """Also answers; `silent` is a dataset whose source gives no answers."""

    def __init__(self, broken: str = "", silent: str = "", answer: str = "4") -> None:
        super().__init__(broken=broken)
        self._silent, self._answer = silent, answer

    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
        return [None if spec.dataset == self._silent else self._answer for spec in specs]


async def test_the_tasks_take_turns_and_no_question_comes_twice() -> None:
    found = await solved_examples(Solver(), SWARM, 5)
    assert [example.question.split()[0] for example in found] == ["a", "b", "a", "b", "a"]
    assert len({example.question for example in found}) == 5
    assert {example.answer for example in found} == {"4"}


async def test_no_example_is_held_out() -> None:
    specs = [spec for family in SWARM.tasks for spec in example_specs(family, 0, 8 * TRIED_MAX)]
    held_out = {q.text for q in await Solver().questions(specs) if isinstance(q, Question) and q.held_out}
    found = {example.question for example in await solved_examples(Solver(), SWARM, 8)}
    assert held_out
    assert held_out.isdisjoint(found)


async def test_every_machine_finds_the_same() -> None:
    assert await solved_examples(Solver(), SWARM, 4) == await solved_examples(Solver(), SWARM, 4)


async def test_a_task_that_fails_or_gives_no_answers_is_left_out() -> None:
    assert {e.question[0] for e in await solved_examples(Solver(broken="a"), SWARM, 4)} == {"b"}
    assert {e.question[0] for e in await solved_examples(Solver(silent="b"), SWARM, 4)} == {"a"}


async def test_a_long_answer_is_no_example_because_every_prompt_would_carry_it() -> None:
    assert await solved_examples(Solver(answer="4" * CHARS_MAX), SWARM, 4) == ()


def test_an_example_is_a_turn_of_the_user_and_one_of_the_assistant_before_the_question() -> None:
    system, asked, answered, user = prompt_messages("3+3?", [Example("2+2?", "4")])
    assert system["role"] == "system"
    assert asked == {"role": "user", "content": "2+2?"}
    assert answered == {"role": "assistant", "content": "<answer>4</answer>"}
    assert user == {"role": "user", "content": "3+3?"}
