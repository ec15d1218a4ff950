"""Solved questions that show a model how its answers should look."""

from __future__ import annotations

from collections.abc import Sequence

from protocol import TaskFamily, TaskSpec
from swarmd.images import IMAGES_MAX
from swarmd.tasks import (
    Example,
    Exchange,
    Question,
    TaskRunner,
    load_manifest,
    prompt_messages,
    solved_examples,
)
from swarmd.tasks.draw import example_specs
from swarmd.tasks.episodes import Solution
from swarmd.tasks.examples import CHARS_MAX, TRIED_MAX
from tests.tasks.test_draw import SWARM, ArithmeticRunner


class Solver(ArithmeticRunner):
    """Also answers; `silent` is a dataset whose source gives no answers."""

    def __init__(self, broken: str = "", silent: str = "", answer: str = "4") -> None:
        super().__init__(broken=broken)
        self._silent, self._answer = silent, answer

    async def solutions(self, specs: Sequence[TaskSpec]) -> list[Solution | None]:
        right = Solution((self._answer,), ())
        return [None if spec.dataset == self._silent else right for spec in specs]


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


def test_an_example_of_several_turns_is_the_whole_exchange_before_the_question() -> None:
    guessed = Example("Guess.", "7", (Exchange("<answer>5</answer>", "It is higher."),))
    found = prompt_messages("Guess again.", [guessed])
    assert [(each["role"], each["content"]) for each in found[1:]] == [
        ("user", "Guess."),
        ("assistant", "<answer>5</answer>"),
        ("user", "It is higher."),
        ("assistant", "<answer>7</answer>"),
        ("user", "Guess again."),
    ]


def first_specs(family: TaskFamily) -> list[TaskSpec]:
    """Those that the first two examples of a task are looked for among; short questions are found at once."""
    return [spec for start in (0, TRIED_MAX) for spec in example_specs(family, start, 4)]


async def test_examples_of_a_game_are_won_and_say_what_the_game_says() -> None:
    manifest = load_manifest("guessing")
    async with TaskRunner(reward=manifest.reward) as runner:
        found = await solved_examples(runner, manifest, 4)
        for example, family in zip(found, manifest.tasks * 2, strict=True):
            turns = [*(each.written for each in example.exchanges), f"<answer>{example.answer}</answer>"]
            scores = await runner.score([(spec, [turns]) for spec in first_specs(family)])
            won = [score for [score] in scores if score.reward == 1.0]
            assert won
            assert won[0].observations == tuple(each.observation for each in example.exchanges)
    assert any(len(example.exchanges) > 1 for example in found)


async def test_examples_about_images_show_them_and_are_right() -> None:
    manifest = load_manifest("visual")
    async with TaskRunner(reward=manifest.reward) as runner:
        found = await solved_examples(runner, manifest, 8)
        specs = [spec for family in manifest.tasks for spec in first_specs(family)]
        drawn = [each for each in await runner.questions(specs) if isinstance(each, Question)]
        asked = {(each.text, each.images): each.spec for each in drawn}
        items = [(asked[each.question, each.images], [f"<answer>{each.answer}</answer>"]) for each in found]
        assert [score.reward for [score] in await runner.score(items)] == [1.0] * len(found)
    assert len(found) == 7  # the video has four images: five were shown, and eight are the most
    assert 0 < sum(len(each.images) for each in found) <= IMAGES_MAX
