"""What a person answered: kept across restarts, bounded, with who pulled it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.storage import Database, answers
from swarmd.storage.answers import Answer
from tests.gossip.making import key

NOW = 1_800_000_000.0
FIRST, SECOND = key(1).peer_id, key(2).peer_id
RECORD = bytes([9]) * 32


def answer(number: int, state: answers.State = "waiting") -> Answer:
    return Answer(bytes([number]) * 32, NOW + number, "gcd", "What is 3?", attempts=2, right=1, state=state)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def test_an_answer_is_published_and_pulled_once_by_each_peer_and_outlives_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        database.answers.add(answer(1))
        database.answers.published(answer(1).question, RECORD)
        database.answers.pulled({(RECORD, FIRST), (RECORD, SECOND), (bytes(32), FIRST)})
        database.answers.pulled({(RECORD, FIRST)})
    with Database(tmp_path / "swarmd.db") as database:
        [found] = database.answers.newest(10)
    assert (found.state, found.digest, found.pulled_by) == ("published", RECORD, 2)


def test_only_what_waited_is_given_up(database: Database) -> None:
    database.answers.add(answer(1))
    database.answers.add(answer(2, "kept"))
    assert database.answers.give_up_waiting() == 1
    assert [found.state for found in database.answers.newest(10)] == ["kept", "lost"]


def test_the_oldest_answers_go_first_and_their_pulls_with_them(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "ANSWERS_MAX", 2)
    monkeypatch.setattr(answers, "PULLERS_MAX", 1)
    database.answers.add(answer(1))
    database.answers.published(answer(1).question, RECORD)
    database.answers.pulled({(RECORD, FIRST)})
    database.answers.pulled({(RECORD, SECOND)})
    assert database.answers.newest(1)[0].pulled_by == 1
    for number in (2, 3):
        database.answers.add(answer(number))
    assert [found.question[0] for found in database.answers.newest(10)] == [3, 2]
    assert not database.answers.knows(answer(1).question)
    database.answers.add(answer(1))
    database.answers.published(answer(1).question, RECORD)
    assert database.answers.newest(10)[-1].pulled_by == 0
