"""Members over time: kept over restarts, bounded on disk and in the curve."""

from __future__ import annotations

import asyncio

import pytest

from swarmd.observer import members as members_module
from swarmd.observer.members import EVERY_S, Members, keep_counting


def test_counts_survive_a_restart(tmp_path) -> None:
    members = Members(tmp_path / "members.db")
    members.count(3, now=60.0)
    members.close()
    members = Members(tmp_path / "members.db")
    members.count(5, now=120.0)
    assert members.curve() == ((60.0, 120.0), (3, 5))
    members.close()


def test_a_new_one_has_no_curve(tmp_path) -> None:
    members = Members(tmp_path / "members.db")
    assert members.curve() == ((), ())
    members.close()


def test_a_long_history_is_thinned_to_the_most_members_of_each_stretch(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(members_module, "POINTS_MAX", 3)
    members = Members(tmp_path / "members.db")
    for minute, here in enumerate((1, 9, 2, 3, 4, 5, 6)):
        members.count(here, now=60.0 * minute)
    at, most = members.curve()
    assert len(at) == 3
    assert list(at) == sorted(at)
    assert most[0] == 9
    assert most[-1] == 6
    members.close()


def test_the_oldest_rows_make_room(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(members_module, "ROWS_MAX", 2)
    members = Members(tmp_path / "members.db")
    for minute in range(5):
        members.count(minute, now=float(minute))
    assert members.curve() == ((3.0, 4.0), (3, 4))
    members.close()


def test_the_curve_is_read_once_between_two_counts(tmp_path) -> None:
    members = Members(tmp_path / "members.db")
    members.count(3, now=60.0)
    assert members.curve() is members.curve()
    members.count(5, now=120.0)
    assert members.curve() == ((60.0, 120.0), (3, 5))
    members.close()


async def test_members_are_counted_only_once_there_was_time_to_hear_of_them(tmp_path) -> None:
    members, now = Members(tmp_path / "members.db"), 0.0

    async def sleep(seconds: float) -> None:
        nonlocal now
        if now >= 2 * EVERY_S:
            raise asyncio.CancelledError
        now += seconds

    with pytest.raises(asyncio.CancelledError):
        await keep_counting(members, lambda: 4 if now else 0, lambda: now, sleep)
    assert members.curve() == ((EVERY_S, 2 * EVERY_S), (4, 4))
    members.close()
