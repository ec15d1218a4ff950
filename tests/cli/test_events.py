"""swarmd events: the newest events of a home, whether or not a daemon runs."""

from __future__ import annotations

import json

import pytest

from swarmd.storage import Database, Home

AT = 1_800_000_000.25


@pytest.fixture
def home(tmp_path) -> Home:
    home = Home.open(tmp_path)
    with Database(home.database_path) as database:
        database.happenings.add(
            [
                (AT, "pulled", "debug", {"reward": 0.5}),
                (AT + 1, "step", "info", {"step": 3, "reward": 0.25}),
                (AT + 2, "warning", "warning", {"message": "a peer wrote \x1b[2J"}),
            ]
        )
    return home


def test_events_are_one_line_each_oldest_first_without_escape_sequences(swarmd, home) -> None:
    assert swarmd("events", "--home", home.path).out.splitlines() == [
        "2027-01-15 08:00:01 step 3, reward 0.250, 0 own + 0 external groups",
        "2027-01-15 08:00:02 warning: a peer wrote \\x1b[2J",
    ]


@pytest.mark.parametrize(("level", "count"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_a_level_leaves_out_what_is_less_important(swarmd, home, level: str, count: int) -> None:
    for verb in ("events", "logs"):
        assert len(swarmd(verb, "--level", level, "--home", home.path).out.splitlines()) == count


def test_json_has_one_object_on_each_line(swarmd, home) -> None:
    [line] = swarmd("events", "--json", "--limit", "1", "--home", home.path).out.splitlines()
    assert json.loads(line) == {
        "ts": AT + 2,
        "event": "warning",
        "level": "warning",
        "message": "a peer wrote \x1b[2J",
    }


def test_following_shows_what_is_added_until_interrupted(swarmd, home, monkeypatch) -> None:
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            raise KeyboardInterrupt
        with Database(home.database_path) as database:
            database.happenings.add([(AT + 9, "step", "info", {"step": 4})])

    monkeypatch.setattr("swarmd.cli.events.time.sleep", sleep)
    outcome = swarmd("events", "-f", "--limit", "1", "--home", home.path)
    assert outcome.code == 0
    assert outcome.out.splitlines()[1:] == ["2027-01-15 08:00:09 step 4, 0 own + 0 external groups"]


def test_a_home_without_events_or_no_home_is_one_clear_error(swarmd, tmp_path) -> None:
    for path in (Home.open(tmp_path / "new").path, tmp_path / "absent"):
        outcome = swarmd("events", "--home", path)
        assert outcome.code == 2
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err
