"""Tasks of several turns in the sandboxed worker: what is said, what it is worth, what is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol import TaskSpec, canonical_json, prompt_digest
from swarmd.errors import ConfigError
from swarmd.tasks import Question, TaskFailure, TaskRunner, WorkerOptions, load_manifest
from swarmd.tasks.episodes import Solution
from swarmd.tasks.frames import FRAME_BYTES_MAX

pytestmark = pytest.mark.asyncio(loop_scope="module")

ODD_SOURCE = """
import os, random, time

class Task:
    turns = 3

    def __init__(self, dataset):
        self.dataset = dataset

    def question(self, seed, index):
        return "say something", seed

    def reply(self, answers, entry):
        if self.dataset == "forgetful":
            return str(random.random())
        if self.dataset == "long":
            return "x" * 5000
        if answers[-1] == "raise":
            raise LookupError("no reply today")
        if answers[-1] == "hang":
            while True:
                pass
        if answers[-1] == "die":
            os._exit(0)
        return "heard " + repr(answers[-1])

    def score(self, answers, entry):
        return 7.0 if answers[-1] == "much" else 1 / (answers[-1] == "right")

    def hidden(self, entry):
        if self.dataset == "hiding":
            return "x" * 5_000_000
        if self.dataset == "hiding a number":
            return entry
        return str(entry) + ("x" * 40_000 if self.dataset == "large" else "")

    def expected(self, entry):
        return "x" * 5_000_000

    def solution(self, entry):
        return {1: ["left", "right"], 2: ["right", "left"], 3: ["right", 7], 4: ["x" * 9_000, "right"]}[entry]

class Odd:
    version = "1"

    def datasets(self):
        return ["plain", "forgetful", "long", "hiding", "hiding a number", "large"]

    def build(self, dataset, config):
        return Task(dataset)
"""


def said(*answers: object) -> list[str]:
    return [f"<answer>{answer}</answer>" for answer in answers]


def guessing(seed: int, **config: int) -> TaskSpec:
    return TaskSpec(
        source="games",
        dataset="guessing",
        config=canonical_json(config),
        version="1",
        seed=seed,
        index=0,
    )


def odd(dataset: str = "plain") -> TaskSpec:
    return TaskSpec(source="odd", dataset=dataset, config="{}", version="1", seed=1, index=0)


@pytest.fixture(scope="module")
def odd_options(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerOptions]:
    directory = tmp_path_factory.mktemp("sources")
    (directory / "odd_turns.py").write_text(ODD_SOURCE)
    sys.path.insert(0, str(directory))
    yield WorkerOptions(sources=("odd=odd_turns:Odd",), score_cpu_s=1.0, score_s=20.0)
    sys.path.remove(str(directory))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runner(odd_options):
    async with TaskRunner(reward="exact", options=odd_options) as running:
        yield running


def number_of(question: Question) -> int:
    return int(question.hidden)


async def test_a_question_says_how_many_turns_it_allows_and_what_tells_it_from_others(runner):
    first, second, gcd = await runner.questions(
        [guessing(1, turns=4), guessing(2, turns=4), guessing(1, largest=9)]
    )
    assert first.text == second.text
    assert first.turns == 4
    assert first.digest == prompt_digest(first.text, (), first.hidden)
    assert (first.digest == second.digest) is (first.hidden == second.hidden)
    assert gcd.text != first.text


async def test_the_task_answers_each_turn_and_scores_all_of_them(runner):
    [question] = await runner.questions([guessing(3, largest=9)])
    number = number_of(question)
    low, high = number - 1, number + 1
    assert await runner.replies(
        [(question.spec, said(low)), (question.spec, said(low, high)), (question.spec, said(number))]
    ) == ["It is higher.", "It is lower.", None]
    [[found, wrong]] = await runner.score([(question.spec, [said(low, high, number), ["I do not know"]])])
    assert (found.reward, found.bare, found.observations) == (1.0, True, ("It is higher.", "It is lower."))
    assert (wrong.reward, wrong.observations) == (0.0, ())


async def test_a_score_says_whether_the_task_was_over(runner):
    [question] = await runner.questions([guessing(3, largest=9, turns=3)])
    number = number_of(question)
    wrong = number % 9 + 1
    completions = [said(number), said(wrong, number), said(wrong, wrong, wrong), said(wrong), ["I give up"]]
    [scores] = await runner.score([(question.spec, completions)])
    assert [score.over for score in scores] == [True, True, True, False, False]
    [[odd_one]] = await runner.score([(odd(), [said("(raise)")])])
    assert (odd_one.failure, odd_one.over) == (None, False)


async def test_one_text_is_a_completion_of_one_turn(runner):
    [question] = await runner.questions([guessing(3, largest=9)])
    [[score]] = await runner.score([(question.spec, said(number_of(question)))])
    assert (score.reward, score.observations) == (1.0, ())


@pytest.mark.parametrize("alone", [False, True])
async def test_turns_that_the_task_does_not_have_are_named(runner, alone):
    [question] = await runner.questions([guessing(3, largest=9, turns=3)])
    number = number_of(question)
    on_and_on = said(*[number % 9 + 1] * 4)
    after_the_end = said(number, number)
    completions = [on_and_on, after_the_end]
    if alone:
        scores = await runner.score_alone(question.spec, completions)
    else:
        [scores] = await runner.score([(question.spec, completions)])
    assert [score.failure for score in scores] == ["turns", "turns"]
    assert all(score.is_lost for score in scores)


async def test_turns_of_a_task_that_has_one_are_refused(runner, spec):
    [[score]] = await runner.score([(spec("gcd"), [said(1, 2)])])
    assert score.failure == "turns"


async def test_an_answer_that_the_task_does_not_admit_is_as_if_it_were_missing(runner):
    [question] = await runner.questions([guessing(3, largest=9)])
    replies = await runner.replies([(question.spec, said("__import__('os')")), (question.spec, ["hm"])])
    assert replies == ["Guess a whole number from 1 to 9."] * 2


async def test_the_scorer_s_junk_earns_nothing_and_keeps_the_observations(runner):
    [[score, much, right]] = await runner.score(
        [(odd(), [said("a", "b"), said("a", "much"), said("a", "right")])]
    )
    assert (score.reward, score.failure, score.observations) == (0.0, None, ("heard 'a'",))
    assert much.reward == 1.0, "a score above 1 counts as 1"
    assert right.reward == 1.0


async def test_a_task_that_raises_hangs_or_dies_on_a_turn_costs_that_completion_only(runner):
    first, second, third, fourth = await runner.replies(
        [(odd(), said("raise")), (odd(), said("hang")), (odd(), said("die")), (odd(), said("a"))]
    )
    assert all(isinstance(reply, TaskFailure) for reply in (first, second, third))
    assert "no reply today" in first.detail
    assert fourth == "heard 'a'"
    scores = await runner.score_alone(odd(), [said("(raise)", "b"), said("hang", "b"), said("a", "right")])
    assert [score.failure for score in scores] == [None, "hang", None]


async def test_an_observation_is_bounded(runner):
    [reply] = await runner.replies([(odd("long"), said("a"))])
    assert isinstance(reply, TaskFailure)
    assert "at most 4096 bytes" in reply.detail


async def test_a_task_that_is_not_the_same_each_time_is_refused_with_its_manifest(
    tmp_path: Path, odd_options
):
    manifest = tmp_path / "swarm.toml"
    manifest.write_text(
        'name = "odd"\ngenesis = 2026-01-01T00:00:00Z\nround_seconds = 15\nreward = "exact"\n'
        'max_new_tokens = 16\nrecords_per_round_max = 64\n[[tasks]]\nname = "t"\nsource = "odd"\n'
        'dataset = "forgetful"\nweight = 1\n'
    )
    with pytest.raises(ConfigError, match="its reply to a turn differs") as caught:
        load_manifest(str(manifest), options=odd_options)
    assert "swarm.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "refused"), [("agreement", "agreement compares single answers"), ("reward_model", None)]
)
async def test_judges_that_read_conversations_are_allowed_and_a_vote_is_not(runner, kind, refused):
    spec = guessing(3, largest=9)
    judged = spec.model_copy(update={"config": canonical_json({"largest": 9, "judges": [{"kind": kind}]})})
    [found] = await runner.questions([judged])
    if refused is None:
        assert isinstance(found, Question)
    else:
        assert (found.reason, found.option) == ("option", "judges")
        assert refused in found.detail


async def test_what_is_hidden_is_bounded_so_that_no_task_ends_its_worker(runner):
    restarts = runner.restarts
    found = await runner.questions([odd("hiding"), odd("hiding a number"), odd()] * 8)
    assert [getattr(each, "reason", None) for each in found] == ["question", "question", None] * 8
    assert "5000013 bytes, more than 49152" in found[0].detail
    assert "which is not text" in found[1].detail
    assert await runner.expected([odd()] * 8) == [None] * 8
    assert runner.restarts == restarts


async def test_a_solution_is_played_and_one_that_is_wrong_or_long_or_no_text_is_none(runner):
    specs = [odd().model_copy(update={"seed": seed}) for seed in (1, 2, 3, 4, 5)]
    right, *others = await runner.solutions(specs)
    assert right == Solution(("left", "right"), ("heard 'left'",))
    assert others == [None] * 4


async def test_held_out_questions_that_no_frame_has_room_for_are_found_all_the_same(runner):
    restarts = runner.restarts
    specs = [odd("large").model_copy(update={"seed": seed}) for seed in range(2_560)]
    found = await runner.held_out(specs)
    assert len(found) * 40_000 > FRAME_BYTES_MAX
    assert all(question.held_out for question in found)
    assert runner.restarts == restarts
