"""The ring of events: what was said last, by level, bounded, and never given a number twice."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from swarmd.errors import StorageError
from swarmd.storage import Database, happenings
from swarmd.storage.happenings import Happening, open_happenings

NOW = 1_800_000_000.0
ALL = ("debug", "info", "warning", "error")


def test_events_outlive_a_restart_and_are_read_beside_the_daemon(tmp_path: Path) -> None:
    path = tmp_path / "swarmd.db"
    with Database(path) as database:
        database.happenings.add([(NOW, "step", "info", {"step": 1}), (NOW, "warning", "warning", {})])
    with Database(path) as database:
        database.happenings.add([(NOW + 1, "step", "info", {"step": 2})])
        connection, beside = open_happenings(path)
        assert beside.newest(2, ALL) == [
            Happening(2, NOW, "warning", "warning", {}),
            Happening(3, NOW + 1, "step", "info", {"step": 2}),
        ]
        assert [event.number for event in beside.since(1, ("info",))] == [3]
        connection.close()


@pytest.mark.parametrize("beside_daemon", [False, True])
def test_who_may_only_read_a_home_sees_its_events_and_leaves_nothing_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, beside_daemon: bool
) -> None:
    path = tmp_path / "swarmd.db"
    monkeypatch.setattr(happenings.os, "access", lambda *_: False)
    with ExitStack() as stack:
        with Database(path) as database:
            database.happenings.add([(NOW, "step", "info", {"step": 1})])
        if beside_daemon:
            stack.enter_context(Database(path))
        before = sorted(tmp_path.iterdir())
        connection, seen = open_happenings(path)
        assert [event.number for event in seen.newest(5, ALL)] == [1]
        with pytest.raises(StorageError, match="it is read-only"):
            connection.execute("DELETE FROM events")
        connection.close()
        assert sorted(tmp_path.iterdir()) == before


def test_the_oldest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happenings, "EVENTS_MAX", 3)
    with Database(tmp_path / "swarmd.db") as database:
        for step in range(5):
            database.happenings.add([(NOW, "step", "info", {"step": step})])
        assert [event.fields["step"] for event in database.happenings.newest(9, ALL)] == [2, 3, 4]


def test_debug_events_push_out_only_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(happenings, "DEBUG_EVENTS_MAX", 1)
    with Database(tmp_path / "swarmd.db") as database:
        database.happenings.add([(NOW, "step", "info", {})])
        for _ in range(3):
            database.happenings.add([(NOW, "pulled", "debug", {})])
        assert [event.name for event in database.happenings.newest(9, ALL)] == ["step", "pulled"]


def test_fields_of_any_length_are_bounded(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        database.happenings.add([(NOW, "warning", "warning", {"message": "x" * 10_000})])
        [event] = database.happenings.newest(1, ALL)
        assert event.fields == {"message": "too long to store"}


def test_the_oldest_make_room_once_the_ring_is_one_percent_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(happenings, "EVENTS_MAX", 200)
    with Database(tmp_path / "swarmd.db") as database:
        database.happenings.add([(NOW, "step", "info", {})] * 200)
        kept = []
        for _ in range(4):
            database.happenings.add([(NOW, "step", "info", {})])
            kept.append(len(database.happenings.newest(300, ALL)))
        assert kept == [201, 202, 200, 201]
