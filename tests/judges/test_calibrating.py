"""Judges are measured on held-out answers, and on whole conversations where a task has several turns."""

from __future__ import annotations

import pytest

from protocol import TaskFamily, canonical_json
from swarmd.judges import Panel, calibrate
from swarmd.judges.calibration import ANSWERS_MIN
from swarmd.tasks import Question, Score, extract_answer
from swarmd.tasks.episodes import BadTurnsError, Solution, is_over, play, solved
from swarmd.tasks.games.guessing import Guessing
from tests.gossip.making import make_manifest

KEY = ("generative", "embedded")
LARGEST = 200


def manifest_of(judge):
    made = make_manifest(tasks=1)
    [family] = made.tasks
    config = canonical_json({"judges": [judge]})
    return made.model_copy(update={"tasks": (TaskFamily(**{**family.model_dump(), "config": config}),)})


class Games:
    """The game of guessing, without a worker; with `known` false, one that cannot show how it is won."""

    def __init__(self, known=True):
        self.task, self.known = Guessing(LARGEST, 8), known

    def number(self, spec):
        return self.task.question(spec.seed, spec.index)[1]

    async def held_out(self, specs):
        made = [
            Question(spec, self.task.question(spec.seed, spec.index)[0], 8, str(self.number(spec)))
            for spec in specs
        ]
        return [question for question in made if question.held_out]

    async def solutions(self, specs) -> list[Solution | None]:
        return [solved(self.task, self.number(spec)) if self.known else None for spec in specs]

    async def score_ours(self, items):
        return [[self._score(self.number(spec), each) for each in texts] for spec, texts in items]

    def _score(self, number, texts):
        answers = list(map(extract_answer, texts))
        try:
            played = play(self.task, number, answers)
        except BadTurnsError:
            return Score(0.0, "turns")
        over = is_over(self.task, number, answers)
        return Score(played.micro / 1e6, observations=played.observations, over=over)


class Reader:
    """Knows a won game by its end before the last turn, or by a last guess that fits the last reply."""

    name = "generative reader"

    def __init__(self):
        self.shown = []

    def probabilities(self, pairs):
        self.shown += pairs
        return [0.9 if pair.answer not in [each.written for each in pair.earlier] else 0.1 for pair in pairs]


async def test_a_task_of_several_turns_is_calibrated_on_conversations_played_here():
    manifest, reader = manifest_of({"kind": "generative", "model": "embedded"}), Reader()
    panel = Panel(manifest, {KEY: reader})
    await calibrate(panel, Games(), manifest)
    [found] = panel.calibrations.values()
    assert len(reader.shown) >= 4 * ANSWERS_MIN
    assert all(pair.turns == 8 for pair in reader.shown)
    assert all(len(pair.earlier) < 8 for pair in reader.shown)
    assert {each.observation for pair in reader.shown for each in pair.earlier} == {
        "It is higher.",
        "It is lower.",
    }
    assert found.agreement is not None
    assert found.agreement > 0.5
    assert panel.views()[0].calibrated == {"generative reader": found.agreement}


@pytest.mark.parametrize("tasks", [Games(known=False)])
async def test_where_a_task_cannot_show_how_it_is_solved_its_judges_are_used_uncalibrated(tasks):
    manifest, reader = manifest_of({"kind": "generative", "model": "embedded"}), Reader()
    panel = Panel(manifest, {KEY: reader})
    await calibrate(panel, tasks, manifest)
    assert panel.calibrations == {}
    assert reader.shown == []
    assert panel.views()[0].calibrated == {"generative reader": None}
    assert panel.doubts() == []
