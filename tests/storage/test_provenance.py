"""What a model card says of a home's past."""

from __future__ import annotations

import json
import math
import sqlite3
from pathlib import Path

import pytest

from swarmd.errors import StorageError
from swarmd.storage import Database
from swarmd.storage.provenance import Learned, Teacher, read_learned, read_untrained

HELD_OUT = """
    CREATE TABLE IF NOT EXISTS held_out (
        id INTEGER PRIMARY KEY, step INTEGER, at REAL, part INTEGER, asked BLOB, model TEXT,
        untrained INTEGER, answers TEXT, questions INTEGER, right_answers INTEGER, tasks TEXT
    )
"""


def fill(database: Database) -> None:
    for step in range(1, 5):
        metrics = {"groups_own": 4, "groups_external": step + 1, "groups_external_used": step}
        database.steps.record(step, reward=0.5, metrics=metrics, now=0)
    for peer, groups in (("12D3b", 1), ("12D3a", 2)):
        for number in range(groups):
            database.ledger.pulled(f"{peer}{number}".encode(), peer, 7, reward_mean=0.5, now=0)


EXPECTED = Learned(3, 12, 6, (Teacher("12D3a", 2), Teacher("12D3b", 1)))


def test_groups_count_up_to_the_step_and_those_who_taught_most_come_first(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        fill(database)
        assert read_learned(tmp_path / "swarmd.db", 3) == EXPECTED, "beside the process that writes"


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_step_whose_update_was_skipped_counts_like_any_other(tmp_path: Path, loss: float) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        fill(database)
        metrics = {
            "groups_own": 4,
            "groups_external": 5,
            "groups_external_used": 2,
            "loss": loss,
            "publishers": {"12D3a": loss},
        }
        database.steps.record(2, reward=0.5, metrics=metrics, now=0)
        stored = dict(database.steps.metrics(10))[2]
        assert (stored["loss"], stored["publishers"]) == (None, {"12D3a": None})
    with sqlite3.connect(tmp_path / "swarmd.db") as earlier:  # as earlier versions stored it
        earlier.execute("UPDATE steps SET metrics = ? WHERE step = 2", (json.dumps(metrics),))
    earlier.close()
    assert read_learned(tmp_path / "swarmd.db", 3) == EXPECTED


def test_reading_leaves_no_file_behind(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        fill(database)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert read_learned(tmp_path / "swarmd.db", 3) == EXPECTED
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_untrained_model_is_known_on_the_questions_that_the_weights_were_asked_too(
    tmp_path: Path,
) -> None:
    path = tmp_path / "swarmd.db"
    with Database(path):
        assert read_untrained(path, 8) == {}
    connection = sqlite3.connect(path)
    connection.execute(HELD_OUT)
    for step, asked, untrained, answers in (
        (0, b"first", 1, {"gcd": "0100", "bits": "11"}),
        (0, b"second", 1, {"gcd": "1111"}),
        (8, b"first", 0, {"gcd": "1111", "bits": "11"}),
        (12, b"second", 0, {"gcd": "1111"}),
    ):
        connection.execute(
            "INSERT INTO held_out (step, at, part, asked, model, untrained, answers, questions,"
            " right_answers, tasks) VALUES (?, 0, 0, ?, 'tiny', ?, ?, 0, 0, '{}')",
            (step, asked, untrained, json.dumps(answers)),
        )
    connection.commit()
    connection.close()
    assert read_untrained(path, 8) == {"gcd": (1, 4), "bits": (2, 2)}
    assert read_untrained(path, 12) == {"gcd": (5, 8), "bits": (2, 2)}
    assert read_untrained(path, 12, [b"second"]) == {"gcd": (4, 4)}, "the first are of earlier rules"
    assert read_untrained(path, 7) == {}


def test_a_missing_database_says_nothing_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_learned(tmp_path / "swarmd.db", 3) is None
    (tmp_path / "swarmd.db").write_bytes(b"junk" * 1000)
    with pytest.raises(StorageError, match="`swarmd check`"):
        read_learned(tmp_path / "swarmd.db", 3)
