"""The history of held-out answers: the start for ever, the newest of each part, and an even curve."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from swarmd.storage import Database, held_out
from swarmd.storage.held_out import HeldOutPoint, Sitting

NOW = 1_800_000_000.0


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "swarmd.db") as opened:
        yield opened


def sit(
    database: Database, step: int, part: int = 0, right: bool = True, model: str = "tiny", asked: bytes = b"a"
) -> Sitting:
    sitting = Sitting(step, part, asked, model, {"gcd": (right, False)}, untrained=step == 0)
    point = HeldOutPoint(step, NOW + step, 2, int(right), {"gcd": (int(right), 2)})
    database.held_out.add(sitting, point)
    return sitting


def test_first_and_latest_of_each_part_are_what_was_added(database: Database) -> None:
    untrained = [sit(database, 0, part, right=False) for part in (0, 1)]
    sit(database, 10, 0)
    newest = [sit(database, 20, 1), sit(database, 30, 0)]
    assert database.held_out.first("tiny") == untrained
    assert database.held_out.latest("tiny", 2) == newest[::-1]
    assert database.held_out.latest("tiny", 1) == newest[1:]


def test_an_untrained_answer_is_never_the_newest_of_a_trained_model(database: Database) -> None:
    sit(database, 0)
    assert database.held_out.latest("tiny", 4) == []


def test_another_models_sittings_are_not_this_ones(database: Database) -> None:
    sit(database, 0, model="large")
    assert database.held_out.first("tiny") == []


def test_a_point_of_the_curve_comes_back_with_its_tasks(database: Database) -> None:
    sit(database, 7)
    assert database.held_out.curve(10) == [HeldOutPoint(7, NOW + 7, 2, 1, {"gcd": (1, 2)})]


def test_a_long_history_is_thinned_evenly_and_keeps_its_start_and_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_out, "POINTS_MAX", 40)
    monkeypatch.setattr(held_out, "POINTS_SLACK", 8)
    for step in range(0, 3_000, 10):
        sit(database, step, part=step // 10 % 4)
    kept = [point.step for point in database.held_out.curve(1_000)]
    assert len(kept) <= 48 + 8  # and the first and newest of each part
    assert kept[0] == 0
    assert kept[-1] == 2_990
    assert [sitting.step for sitting in database.held_out.first("tiny")] == [0, 10, 20, 30]
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 4 * 3_000 / 40, "no stretch of the home's life is missing"


def test_the_curve_has_no_more_points_than_asked_for_and_spans_the_whole_life(database: Database) -> None:
    for step in range(100):
        sit(database, step)
    steps = [point.step for point in database.held_out.curve(10)]
    assert steps == [9, 19, 29, 39, 49, 59, 69, 79, 89, 99]


def test_rewinding_forgets_later_sittings_and_keeps_those_of_the_untrained_model(database: Database) -> None:
    untrained = sit(database, 0)
    sit(database, 10)
    database.rewind(0)
    assert database.held_out.first("tiny") == [untrained]
    assert database.held_out.latest("tiny", 4) == []
