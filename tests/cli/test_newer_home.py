"""Every command that opens a home refuses one of a newer swarmd, says what to do, and touches nothing."""

from __future__ import annotations

import os
import platform
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from swarmd.storage import Database, Home
from swarmd.storage.schema import MIGRATIONS

OPENING = (
    ["join"],
    ["init"],
    ["events"],
    ["eval"],
    ["ask", "1 + 1?"],
    ["export", "out"],
    ["records", "list"],
    ["key", "backup", "copy"],
    ["ban", "12D3KooWJTvDn4UQJSUe51Z8CZKdAyu6T6KizXPmnSy7Bd8tk6XZ"],
    ["service", "install"],
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    home = Home.open(tmp_path / ".swarmd")
    Database(home.database_path).close()
    with closing(sqlite3.connect(home.database_path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        raw.commit()
    return home


def files(home: Home) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}


@pytest.mark.parametrize("command", OPENING, ids=lambda command: command[0])
def test_it_is_refused(
    swarmd, daemon: list[object], home: Home, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")  # whose service manager needs no asking
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() or 1000)
    before = files(home)
    done = swarmd(*command)
    assert done.code == 2
    assert "was written by a newer swarmd: its database has version" in done.err
    assert "Install the newer swarmd again" in done.err
    assert files(home) == before
    assert daemon == []


def test_check_and_doctor_report_it_among_all_else(swarmd, home: Home) -> None:
    checked = swarmd("check")
    assert checked.code == 1
    assert "written by a newer swarmd" in checked.out
    looked = swarmd("doctor")
    assert looked.code == 1
    assert "was written by a newer swarmd" in " ".join(looked.out.split())
