"""A task of several turns gives the same observations however often it is played."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.errors import TaskError
from swarmd.tasks.bare import Budget
from swarmd.tasks.episodes import BadTurnsError, Played, is_bare, play, reply_to, solved, turns_of
from swarmd.tasks.games import Games
from swarmd.tasks.games.guessing import Guessing


@pytest.mark.parametrize("turns", [0, 17, "many"])
def test_a_number_of_turns_that_is_none_is_named(turns):
    game = Guessing()
    game.turns = turns
    with pytest.raises(TaskError, match="from 1 to 16"):
        turns_of(game)


@given(st.integers(1, 50), st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_replaying_all_turns_at_once_says_what_was_said_turn_by_turn(number, guesses):
    game = Guessing(turns=6)
    answers = list(map(str, guesses))
    heard = []
    for count in range(1, len(answers)):
        reply = reply_to(game, number, answers[:count]) if count <= game.turns else None
        if reply is None:
            with pytest.raises(BadTurnsError):
                play(game, number, answers)
            return
        heard.append(reply)
    if len(answers) > game.turns:
        with pytest.raises(BadTurnsError):
            play(game, number, answers)
        return
    assert play(game, number, answers) == Played(tuple(heard), 1_000_000 * (guesses[-1] == number))


@given(st.integers(1, 1_000), st.data())
def test_halving_what_is_left_always_finds_the_number(number, data):
    game = Games().build("guessing", {"largest": 1_000, "turns": 10})
    low, high, answers = 1, 1_000, []
    while True:
        answers.append(str((low + high) // 2))
        reply = reply_to(game, number, answers)
        if reply is None:
            break
        low, high = (int(answers[-1]) + 1, high) if "higher" in reply else (low, int(answers[-1]) - 1)
    assert game.score(answers, number) == 1.0


@given(st.integers(2, 63).flatmap(lambda most: st.tuples(st.just(most), st.integers(1, most))))
def test_the_shown_solution_of_the_guessing_game_finds_every_number_in_time(drawn):
    largest, number = drawn
    game = Guessing(largest, turns=6)  # 2 ** 6 > 63
    found = solved(game, number)
    assert found is not None
    assert play(game, number, found.answers) == Played(found.observations, 1_000_000)


def test_a_number_that_halving_does_not_find_in_time_has_no_solution():
    assert solved(Guessing(50, turns=2), 1) is None


class Lenient(Guessing):
    """Does not say which spelling of a number is the bare one."""

    is_bare = None


@pytest.mark.parametrize(
    ("answers", "bare"), [(["5", "7"], True), (["5", "07"], False), (["005", "7"], False)]
)
def test_an_answer_of_any_turn_that_could_be_shorter_with_the_same_outcome_is_not_bare(answers, bare):
    game, number = Lenient(largest=9), 7
    assert is_bare(game, number, answers, play(game, number, answers), Budget()) is bare
