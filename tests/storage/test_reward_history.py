"""The reward over the whole life of a home in a bounded number of points."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from swarmd.storage import Database, reward_history
from swarmd.storage.reward_history import RewardPoint

NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def few_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reward_history, "REWARD_POINTS_MAX", 10)


def record(database: Database, first: int, last: int) -> None:
    for step in range(first, last + 1):
        database.steps.record(step, reward=(step % 10) / 10, metrics={}, now=NOW)


def test_while_there_are_few_steps_each_is_a_point(database: Database) -> None:
    record(database, 1, 3)
    assert database.reward_history.points() == [RewardPoint(n, n / 10, 0.0) for n in (1, 2, 3)]


def test_a_step_without_own_groups_has_no_reward_and_no_point(database: Database) -> None:
    database.steps.record(1, reward=None, metrics={}, now=NOW)
    assert database.reward_history.points() == []


@pytest.mark.parametrize("steps", [10, 39, 40, 159, 1_000])
def test_points_stay_bounded_and_cover_the_life_in_equal_stretches(database: Database, steps: int) -> None:
    record(database, 1, steps)
    points = database.reward_history.points()
    assert 5 <= len(points) <= 10
    assert points[-1].step == steps
    gaps = {after.step - before.step for before, after in pairwise(points[:-1])}
    assert len(gaps) <= 1
    [(n, total)] = database._connection.execute("SELECT SUM(n), SUM(total) FROM reward_history")
    assert n == steps
    assert total == pytest.approx(sum(step % 10 for step in range(1, steps + 1)) / 10)


def test_a_point_has_mean_and_deviation_of_its_stretch(database: Database) -> None:
    record(database, 1, 19)  # stretches of two steps
    point = database.reward_history.points()[1]
    assert point.step == 3
    assert point.mean == pytest.approx(0.25)
    assert point.deviation == pytest.approx(0.05)


def test_rewinding_takes_back_exactly_what_came_later(database: Database) -> None:
    record(database, 1, 34)
    database.rewind(21)
    record(database, 22, 34)
    again = database.reward_history.points()
    with Database(Path(":memory:")) as straight:
        record(straight, 1, 34)
        expected = straight.reward_history.points()
    assert [(p.step, p.mean) for p in again] == [(p.step, pytest.approx(p.mean)) for p in expected]


def test_a_home_of_an_earlier_version_gets_its_history_from_its_steps(tmp_path: Path) -> None:
    path = tmp_path / "older.db"
    with Database(path) as database:
        record(database, 1, 50)
        before = database.reward_history.points()
    with sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM reward_history")
    raw.close()
    with Database(path) as database:
        assert [p.step for p in database.reward_history.points()] == [p.step for p in before]
