"""Agreement: one vote per party and question, spread over its answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.judges.ballots import ANSWER_CHARS_MAX, PARTIES_MAX, QUESTIONS_MAX, Ballots, normal

ANSWERS = st.lists(st.one_of(st.none(), st.sampled_from(["1", "2", "3", "four"])), min_size=1, max_size=8)


def test_a_group_alone_agrees_on_its_commonest_answer():
    ballots = Ballots()
    ballots.vote("q", "me", ["5", "5", "6", None])
    verdict = ballots.verdict("q")
    assert verdict is not None
    assert verdict.winner == "5"
    assert verdict.confidence == pytest.approx(1 / 3), "two votes against one, of three"


def test_answers_that_differ_in_case_and_space_only_are_the_same():
    ballots = Ballots()
    ballots.vote("q", "me", [" Monday", "monday ", "Tuesday"])
    assert ballots.verdict("q").winner == "monday"


def test_a_tie_has_no_winner():
    ballots = Ballots()
    ballots.vote("q", "a", ["1", "1"])
    ballots.vote("q", "b", ["2", "2"])
    assert ballots.verdict("q").winner is None
    assert ballots.verdict("q").confidence == 0


def test_an_answer_that_one_completion_gave_agrees_with_nobody():
    ballots = Ballots()
    ballots.vote("q", "me", ["1", None, None, None])
    assert ballots.verdict("q").winner is None


def test_a_party_does_not_vote_on_what_it_wrote_itself():
    ballots = Ballots()
    ballots.vote("q", "liar", ["payload"] * 8)
    assert ballots.verdict("q", without="liar") is None
    ballots.vote("q", "me", ["5", "5", "6"])
    assert ballots.verdict("q", without="liar").winner == "5"


def test_a_thousand_groups_of_one_party_are_one_vote():
    ballots = Ballots()
    for _ in range(1_000):
        ballots.vote("q", "strangers", ["wrong"] * 64)
    ballots.vote("q", "a", ["right"] * 2)
    ballots.vote("q", "b", ["right"] * 2)
    assert ballots.verdict("q").winner == "right"


def test_a_question_of_which_nobody_voted_has_no_verdict():
    assert Ballots().verdict("q") is None


def test_a_long_answer_does_not_vote():
    assert normal("x" * (ANSWER_CHARS_MAX + 1)) is None
    assert normal("  ") is None


def test_the_oldest_questions_and_parties_are_forgotten():
    ballots = Ballots()
    for number in range(QUESTIONS_MAX + 1):
        ballots.vote(number, "me", ["1", "1"])
    assert ballots.verdict(0) is None
    assert ballots.verdict(QUESTIONS_MAX).winner == "1"
    for party in range(PARTIES_MAX + 1):
        ballots.vote("q", party, ["old", "old"] if party == 0 else [])
    assert ballots.verdict("q").winner is None, "the ballot of party 0 made room"


@given(st.dictionaries(st.integers(0, 5), ANSWERS, min_size=1))
def test_the_winner_is_an_answer_that_somebody_gave_and_leads(votes):
    ballots = Ballots()
    for party, answers in votes.items():
        ballots.vote("q", party, answers)
    verdict = ballots.verdict("q")
    shares = {
        answer: sum(answers.count(answer) / len(answers) for answers in votes.values())
        for answer in {a for answers in votes.values() for a in answers if a is not None}
    }
    assert 0 <= verdict.confidence <= 1
    if verdict.winner is not None:
        assert all(shares[verdict.winner] > share for a, share in shares.items() if a != verdict.winner)
