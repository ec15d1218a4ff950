"""The games from which a judge of games learns: finished as in a swarm, and called won if they were."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "guessing_games.py"


@pytest.fixture(scope="module")
def games():
    spec = importlib.util.spec_from_file_location("guessing_games", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Games(random.Random(0))


def consistent(pair):
    """Whether the last guess fits all that was said before it."""
    last = int(pair.answer)
    told = [(int(each.written), each.observation) for each in pair.earlier if each.written]
    return all((last > guess) if "higher" in said else (last < guess) for guess, said in told)


def test_a_game_ends_when_it_is_won_or_after_its_last_turn(games):
    drawn = [games.draw() for _ in range(400)]
    assert 150 < sum(won for _, won in drawn) < 250
    for pair, won in drawn:
        turns = len(pair.earlier) + 1
        assert turns <= pair.turns
        assert won or turns == pair.turns
        assert consistent(pair) or not won
    assert any(consistent(pair) and not won for pair, won in drawn), "bad luck"
    assert any(not consistent(pair) for pair, _ in drawn), "bad play"
