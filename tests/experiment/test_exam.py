"""Held-out answers as the judges would pay them, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

from protocol import TaskFamily, canonical_json
from swarmd.experiment.exam import Exam
from swarmd.judges import Panel
from swarmd.judges.interface import Pair
from swarmd.tasks import Exchange, Question, Score
from tests.gossip.making import make_manifest

KEY = ("generative", "embedded")


@dataclass(frozen=True)
class Text:
    text: str


class Guesser:
    """Answers 5, and 7 to whatever it is told then."""

    def fits(self, *_):
        return True

    def render(self, question, exchanges=(), images=()):
        return [len(exchanges)]

    def greedy(self, prompts, max_new_tokens=None, *, should_stop=None):
        return [Text(f"<answer>{7 if exchanges else 5}</answer>") for [exchanges] in prompts]


class Game:
    """Of two turns, about a number that is held out. Nobody wins it."""

    async def held_out(self, specs):
        first = Question(specs[0], "guess", 2)
        return [next(each for n in range(99) if (each := replace(first, hidden=str(n))).held_out)]

    async def replies(self, items):
        return ["no" if len(texts) == 1 else None for _, texts in items]

    async def score(self, items):
        return [[Score(0.0, observations=("no",) * (len(each) - 1)) for each in row] for _, row in items]


class Judge:
    """Pays a second guess that differs from the first."""

    name = "generative judge"

    def __init__(self):
        self.shown = []

    def probabilities(self, pairs):
        self.shown += pairs
        return [float([pair.answer] != [each.written for each in pair.earlier]) for pair in pairs]


async def test_held_out_games_are_judged_by_all_their_turns_and_the_truth_stays_the_verifiers():
    made = make_manifest(tasks=1)
    config = canonical_json({"judges": [{"kind": "generative", "model": "embedded"}]})
    family = TaskFamily(**{**made.tasks[0].model_dump(), "config": config})
    manifest, judge = made.model_copy(update={"tasks": (family,)}), Judge()
    exam = Exam(manifest, Game(), 1, Panel(manifest, {KEY: judge}))
    line = await exam.line(0, 0, Guesser())
    assert judge.shown == [Pair("guess", "7", (Exchange("5", "no"),), 2)]
    assert (line["judged"], line["success"]) == (1.0, 0.0)


async def test_held_out_answers_that_no_judge_judged_are_not_paid_nothing():
    made = make_manifest(tasks=1)
    config = canonical_json({"judges": [{"kind": "generative", "model": "embedded"}]})
    family = TaskFamily(**{**made.tasks[0].model_dump(), "config": config})
    manifest = made.model_copy(update={"tasks": (family,)})
    line = await Exam(manifest, Game(), 1, Panel(manifest)).line(0, 0, Guesser())
    assert line["judged"] is None
