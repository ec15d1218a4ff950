"""Who delivered what, and the operator's words: remembered across restarts, bounded, all or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from swarmd.errors import ConfigError, StorageError
from swarmd.gossip import Acquaintance
from swarmd.storage import Database, acquaintances
from swarmd.storage.database import APPLICATION_ID, MIGRATIONS
from tests.gossip.making import key

NOW = 1_800_000_000.0
OWN, FIRST, SECOND, THIRD = (key(n).peer_id for n in range(4))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def test_what_a_peer_delivered_outlives_a_restart(tmp_path: Path) -> None:
    first = Acquaintance(FIRST, 3, NOW, NOW + 60, "10.0.0.1")
    second = Acquaintance(SECOND, 1, NOW, NOW)
    with Database(tmp_path / "swarmd.db") as database:
        database.acquaintances.remember(Acquaintance(FIRST, 2, NOW, NOW + 30))
        database.acquaintances.remember(first)
        database.acquaintances.remember(second)
        database.acquaintances.say(THIRD, "ban", now=NOW)
    with Database(tmp_path / "swarmd.db") as database:
        assert database.acquaintances.all() == [second, first]
        assert database.acquaintances.words() == {THIRD: "ban"}
        database.acquaintances.forget(FIRST)
        assert database.acquaintances.all() == [second]


def test_a_crowd_of_newcomers_displaces_nobody_who_taught_more(database, monkeypatch) -> None:
    monkeypatch.setattr(acquaintances, "ACQUAINTANCES_MAX", 3)
    database.acquaintances.remember(Acquaintance(FIRST, 50, NOW, NOW + 5_000))
    for number in range(10, 30):
        database.acquaintances.remember(Acquaintance(key(number).peer_id, 1, NOW, NOW + 6_000 + number))
    found = database.acquaintances.all()
    assert len(found) == 3
    assert found[0].peer_id == FIRST


def test_an_order_is_carried_out_for_all_peers_or_for_none(database) -> None:
    judge = database.acquaintances.judge
    assert judge("ban", [FIRST, SECOND], own=OWN, now=NOW) == "ban"
    with pytest.raises(ConfigError, match=f"not banned: {THIRD}"):
        judge("unban", [FIRST, THIRD], own=OWN, now=NOW)
    with pytest.raises(ConfigError, match="this peer itself"):
        judge("trust", [FIRST, OWN], own=OWN, now=NOW)
    assert database.acquaintances.words() == {FIRST: "ban", SECOND: "ban"}
    assert judge("trust", [SECOND], own=OWN, now=NOW) == "trust"
    assert judge("unban", [FIRST], own=OWN, now=NOW) == "none"
    assert database.acquaintances.words() == {SECOND: "trust"}


def test_only_so_many_peers_are_judged_and_an_order_beyond_that_changes_nothing(
    database, monkeypatch
) -> None:
    monkeypatch.setattr(acquaintances, "WORDS_MAX", 1)
    with pytest.raises(StorageError, match="swarmd unban"):
        database.acquaintances.judge("ban", [FIRST, SECOND], own=OWN, now=NOW)
    assert database.acquaintances.words() == {}


def test_a_database_of_the_version_before_is_opened_with_its_pool(tmp_path: Path) -> None:
    path = tmp_path / "swarmd.db"
    with closing(sqlite3.connect(path)) as raw:
        raw.executescript(MIGRATIONS[0])
        raw.execute("INSERT INTO peers VALUES (?, '[]', 1.0)", (FIRST,))
        raw.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        raw.execute("PRAGMA user_version = 1")
        raw.commit()
    with Database(path) as database:
        assert [seen.peer_id for seen in database.peers.known()] == [FIRST]
        assert database.acquaintances.all() == []
