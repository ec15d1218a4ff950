"""What peers gave each other: counted per peer, kept across restarts, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.storage import Database, partners
from swarmd.storage.partners import Partner
from tests.gossip.making import key

NOW = 1_800_000_000.0
FIRST, SECOND, THIRD = (key(n).peer_id for n in range(1, 4))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def test_counts_add_up_and_outlive_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        database.partners.used({FIRST: 2, SECOND: 1}, now=NOW)
        database.partners.pulled({FIRST: 3}, now=NOW + 1)
    with Database(tmp_path / "swarmd.db") as database:
        database.partners.used({FIRST: 1}, now=NOW + 2)
        database.partners.claimed(FIRST, 7, now=NOW + 3)
        assert list(database.partners.all().values()) == [
            Partner(FIRST, used=3, pulls=3, claimed=7, last_seen=NOW + 3),
            Partner(SECOND, used=1, pulls=0, claimed=0, last_seen=NOW),
        ]
        assert database.partners.groups_used() == {FIRST: 3, SECOND: 1}


def test_a_claim_replaces_the_one_before(database: Database) -> None:
    database.partners.claimed(FIRST, 7, now=NOW)
    database.partners.claimed(FIRST, 5, now=NOW)
    assert database.partners.all()[FIRST].claimed == 5
    assert database.partners.groups_used() == {}


def test_being_seen_moves_the_time_forward_only_and_only_of_those_with_counts(database: Database) -> None:
    database.partners.pulled({FIRST: 1}, now=NOW)
    database.partners.seen({FIRST: NOW + 60, SECOND: NOW + 60})
    database.partners.seen({FIRST: NOW + 30})
    assert {peer: one.last_seen for peer, one in database.partners.all().items()} == {FIRST: NOW + 60}


def test_strangers_that_only_pull_displace_each_other_before_a_peer_that_taught(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partners, "PARTNERS_MAX", 2)
    database.partners.used({FIRST: 1}, now=NOW)
    database.partners.pulled({SECOND: 1}, now=NOW + 1)
    database.partners.pulled({THIRD: 1}, now=NOW + 2)
    assert set(database.partners.all()) == {FIRST, THIRD}
