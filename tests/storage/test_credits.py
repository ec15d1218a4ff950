"""What groups did: measured here as a mean, claimed by others, kept apart and bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.storage import Database
from swarmd.storage import credits as stored
from swarmd.storage.credits import CreditRow
from tests.gossip.making import key

NOW = 1_800_000_000.0
FIRST, SECOND, THIRD = (key(n).peer_id for n in range(1, 4))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def test_measurements_are_averaged_and_claims_stand_beside_them(database: Database) -> None:
    database.credits.measured([(FIRST, False, 0.5), (FIRST, False, -0.1), (FIRST, True, 1.0)], now=NOW)
    database.credits.claimed(FIRST, people=True, groups=9, gain_milli=40, now=NOW)
    assert database.credits.all() == [
        CreditRow(FIRST, False, groups=2, gain=0.2, claimed_groups=0, claimed_gain=0.0),
        CreditRow(FIRST, True, groups=1, gain=1.0, claimed_groups=9, claimed_gain=0.04),
    ]


def test_a_claim_replaces_the_one_before_and_outlives_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        for gain in (40, -5):
            database.credits.claimed(FIRST, people=False, groups=3, gain_milli=gain, now=NOW)
    with Database(tmp_path / "swarmd.db") as database:
        [row] = database.credits.all()
    assert (row.groups, row.claimed_groups, row.claimed_gain) == (0, 3, -0.005)


def test_a_flood_of_claims_displaces_no_measurement(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "CREDITS_MAX", 2)
    database.credits.measured([(FIRST, False, 0.5)], now=NOW)
    for number, peer in enumerate((SECOND, THIRD), 1):
        database.credits.claimed(peer, people=False, groups=1, gain_milli=1, now=NOW + number)
    assert {row.peer_id for row in database.credits.all()} == {FIRST, THIRD}
