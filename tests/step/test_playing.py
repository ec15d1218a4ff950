"""Completions of several turns are written together and end at different times."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import TaskSpec
from swarmd.step.playing import UNSTEADY, in_this_thread, play, score
from swarmd.tasks import Exchange, Question, Score, TaskFailure

SPEC = TaskSpec(source="games", dataset="guessing", config="{}", version="1", seed=1, index=0)


@dataclass(frozen=True)
class Text:
    text: str


class Prompter:
    """Prompts are the lengths of what was said; `room` tokens fit."""

    def __init__(self, room: int = 100) -> None:
        self.room = room

    def fits(self, question: str, exchanges: tuple[Exchange, ...] = (), *_: object) -> bool:
        return len(exchanges) <= self.room

    def render(self, question: str, exchanges: tuple[Exchange, ...] = (), *_: object) -> list[int]:
        return [len(question), *(len(exchange.observation) for exchange in exchanges)]


class Tasks:
    """Says `higher` until a completion has written `stop`, or as many turns as are allowed."""

    def __init__(self, turns: int) -> None:
        self.turns = turns
        self.asked: list[int] = []

    async def replies(self, items):
        self.asked.append(len(items))
        return [
            TaskFailure(SPEC, "error", "no")
            if texts[-1] == "fail"
            else None
            if texts[-1] == "stop" or len(texts) == self.turns
            else "higher"
            for _, texts in items
        ]

    async def score(self, items):
        return [
            [
                Score(1.0, observations=("higher",) * (len(written) - 1))
                if isinstance(written, tuple)
                else Score(0.5)
                for written in completions
            ]
            for _, completions in items
        ]


def question(turns: int) -> Question:
    return Question(SPEC, "guess", turns, "7")


async def played(first, script, turns=3, room=100):
    """`script`: what is written behind each prompt, call by call."""
    calls = iter(script)
    prompts_seen = []

    def sample(prompts, num_completions):
        if num_completions == len(first) and not asked:
            asked.append(prompts)
            return [list(map(Text, first))]
        prompts_seen.append(prompts)
        return [[Text(text)] for text in next(calls)]

    asked, tasks = [], Tasks(turns)
    [episodes] = await play(
        [question(turns)],
        len(first),
        sample,
        tasks=tasks,
        policy=Prompter(room),
        in_model_thread=in_this_thread,
    )
    return episodes, tasks, prompts_seen


async def test_those_that_go_on_are_written_together_and_the_others_have_ended():
    episodes, tasks, prompts = await played(["a", "stop", "b"], [["c", "stop"], ["d"]])
    assert [episode.texts for episode in episodes] == [("a", "c", "d"), ("stop",), ("b", "stop")]
    assert [episode.observations for episode in episodes] == [["higher", "higher"], [], ["higher"]]
    assert tasks.asked == [3, 2, 1]
    assert prompts == [[[5, 6], [5, 6]], [[5, 6, 6]]]


async def test_a_task_of_one_turn_is_asked_for_nothing():
    episodes, tasks, prompts = await played(["a", "b"], [], turns=1)
    assert [episode.written for episode in episodes] == ["a", "b"]
    assert (tasks.asked, prompts) == ([], [])


async def test_a_completion_ends_where_its_next_prompt_would_not_fit():
    episodes, _, _ = await played(["a"], [["b"]], turns=4, room=1)
    assert episodes[0].texts == ("a", "b")
    assert episodes[0].observations == ["higher"], "what was not heard is not kept"


async def test_a_completion_ends_where_the_task_fails_on_it():
    episodes, _, _ = await played(["fail", "a"], [["stop"]])
    assert [episode.texts for episode in episodes] == [("fail",), ("a", "stop")]


async def test_a_completion_that_went_otherwise_when_it_was_played_again_is_worth_nothing():
    episodes, tasks, _ = await played(["a", "b"], [["stop", "stop"]])
    episodes[1].observations[0] = "lower"
    [[same, other]] = await score(tasks, [question(3)], [episodes])
    assert same == Score(1.0, observations=("higher",))
    assert (other.reward, other.failure, other.is_lost) == (0.0, UNSTEADY, True)
