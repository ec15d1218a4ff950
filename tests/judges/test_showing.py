"""What a judge is shown of a completion of several turns, and what is not shown at all."""

from __future__ import annotations

import pytest

from swarmd.judges.interface import Pair
from swarmd.judges.showing import BARE_BYTES_MAX, is_bare, shown
from swarmd.judges.wording import ANSWER_BYTES_MAX
from swarmd.tasks import Exchange, Question, Score
from tests.gossip.making import make_manifest, make_task

SPEC = make_task(make_manifest(tasks=1), 0)
GAME = Question(SPEC, "Guess.", turns=3, hidden="6")
PLAYED = Score(1.0, observations=("It is higher.",))


def wrote(*answers):
    return tuple(f"hm <answer>{each}</answer> yes" for each in answers)


def test_the_answers_and_the_replies_computed_here_are_shown_and_nothing_around_them():
    assert shown(GAME, wrote("4", "6"), PLAYED) == Pair("Guess.", "6", (Exchange("4", "It is higher."),), 3)


def test_an_earlier_turn_without_an_answer_is_shown_as_empty():
    pair = shown(GAME, ("I win. It is right.", *wrote("6")), PLAYED)
    assert pair is not None
    assert pair.earlier == (Exchange("", "It is higher."),)


@pytest.mark.parametrize(
    ("texts", "score"),
    [
        (wrote("4", ""), PLAYED),
        ((*wrote("4"), "I win."), PLAYED),
        (wrote("4" * (ANSWER_BYTES_MAX + 1), "6"), PLAYED),
        (wrote("4", "6" * (ANSWER_BYTES_MAX + 1)), PLAYED),
        (wrote("4"), Score(0.0, over=False)),
        (wrote("4", "6"), Score(0.0, "error")),
        (wrote("4", "6"), Score(0.0, "unsteady", observations=("It is lower.",))),
        (wrote("4", "6"), Score(1.0)),
    ],
    ids=["empty", "no answer", "long turn", "long answer", "given up", "lost", "unsteady", "no replies"],
)
def test_what_has_no_answer_is_too_long_was_given_up_or_cannot_be_replayed_is_not_shown(texts, score):
    assert shown(GAME, texts, score) is None


def test_a_question_of_one_turn_needs_no_score_to_be_shown():
    question = Question(SPEC, "2 + 3?")
    assert shown(question, "<answer>5</answer>", Score(0.0, "error")) == Pair("2 + 3?", "5")
    assert shown(question, ("<answer>5</answer>",), Score(0.0)) == Pair("2 + 3?", "5")


def test_every_turn_must_be_without_room_for_a_payload():
    long = "x" * (BARE_BYTES_MAX + 1)
    assert is_bare(wrote("4", "6"))
    assert is_bare(("no answer", *wrote("6")))
    assert not is_bare(wrote(long, "6"))
    assert not is_bare(wrote("4", long))
    assert not is_bare((*wrote("4"), "no answer"))
