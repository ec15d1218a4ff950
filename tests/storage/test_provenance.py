"""What a model card says of a home's past."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmd.errors import StorageError
from swarmd.storage import Database
from swarmd.storage.provenance import Learned, Teacher, read_learned


def fill(database: Database) -> None:
    for step in range(1, 5):
        metrics = {"groups_own": 4, "groups_external": step}
        database.steps.record(step, reward=0.5, metrics=metrics, now=0)
    for peer, groups in (("12D3b", 1), ("12D3a", 2)):
        for number in range(groups):
            database.ledger.pulled(f"{peer}{number}".encode(), peer, 7, reward_mean=0.5, now=0)


EXPECTED = Learned(3, 12, 6, (Teacher("12D3a", 2), Teacher("12D3b", 1)))


def test_groups_count_up_to_the_step_and_those_who_taught_most_come_first(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        fill(database)
        assert read_learned(tmp_path / "swarmd.db", 3) == EXPECTED, "beside the process that writes"


def test_reading_leaves_no_file_behind(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        fill(database)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert read_learned(tmp_path / "swarmd.db", 3) == EXPECTED
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_missing_database_says_nothing_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_learned(tmp_path / "swarmd.db", 3) is None
    (tmp_path / "swarmd.db").write_bytes(b"junk" * 1000)
    with pytest.raises(StorageError, match="`swarmd check`"):
        read_learned(tmp_path / "swarmd.db", 3)
