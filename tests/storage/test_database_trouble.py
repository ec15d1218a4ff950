"""What keeps a home's database from being used is found without changing anything, also beside a daemon."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from swarmd.storage import Database, database_trouble
from swarmd.storage.database_trouble import trouble_of
from swarmd.storage.schema import MIGRATIONS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    with Database(home / "swarmd.db") as database:
        database.facts.set_swarm(bytes(32))
    return home / "swarmd.db"


def contents(home: Path) -> dict[str, bytes]:
    """All files except SQLite's index, which is not kept on disk for its own sake."""
    return {each.name: each.read_bytes() for each in home.iterdir() if not each.name.endswith("-shm")}


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as raw:
        raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")


def another_program_s(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("CREATE TABLE theirs (x)")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("spoil", "what", "remedy", "stops"),
    [
        (newer, "written by a newer swarmd", "install the newer swarmd again", True),
        (another_program_s, "another program's database", "move it away", True),
        (cut, "it is damaged (", "restore a backup, or start", False),
        (overwritten, "it is damaged (", "restore a backup, or start", False),
        (emptied, "it is empty", "restore a backup, or start", False),
        (a_directory, "it is not a file", "move it away", True),
        (a_link, "it is a symbolic link", "move the file itself there", True),
    ],
)
def test_what_is_wrong_with_the_file_is_told_with_what_to_do_and_nothing_is_changed(
    path: Path, spoil, what: str, remedy: str, stops: bool
) -> None:
    spoil(path)
    before = {} if path.is_dir() else contents(path.parent)
    found = trouble_of(path)
    assert found is not None
    assert what in found.what
    assert found.remedy.startswith(remedy)
    assert found.stops == stops
    assert found.is_damage == ("damaged" in found.what)
    assert before == ({} if path.is_dir() else contents(path.parent))


def test_a_whole_database_has_no_trouble_and_leaves_no_file_behind(path: Path) -> None:
    before = sorted(path.parent.iterdir())
    assert trouble_of(path) is None
    assert sorted(path.parent.iterdir()) == before
    with pytest.raises(FileNotFoundError):
        trouble_of(path.with_name("none.db"))


def test_a_daemon_s_database_can_be_looked_at_in_the_middle_of_a_write(path: Path) -> None:
    with Database(path) as database:
        before = contents(path.parent)
        with database.transaction():
            database.peers.seen("a", ["/ip4/10.0.0.1/tcp/1"], now=1.0)
            assert trouble_of(path) is None
            assert contents(path.parent) == before
        assert [peer.peer_id for peer in database.peers.known()] == ["a"]


def test_what_a_killed_daemon_left_is_whole_and_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    with Database(path) as database:
        database.peers.seen("a", ["/ip4/10.0.0.1/tcp/1"], now=1.0)
        shutil.copytree(path.parent, left)
    before = contents(left)
    assert before["swarmd.db-wal"]
    assert trouble_of(left / "swarmd.db") is None
    assert contents(left) == before


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_file_that_this_user_may_not_write_is_named_with_its_owner(
    path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = path.with_name(f"{path.name}{suffix}")
    file.touch()
    monkeypatch.setattr(database_trouble.os, "access", lambda each, _mode: each != file)
    mine = trouble_of(path)
    assert mine is not None
    assert (mine.what, mine.remedy) == (f"this user may not read and write {file}", f"`chmod u+rw {file}`")
    monkeypatch.setattr(database_trouble.os, "geteuid", lambda: file.stat().st_uid + 1)
    other = trouble_of(path)
    assert other is not None
    assert other.what.startswith(f"{file} belongs to ")
    assert f" {path.parent}`" in other.remedy
    assert mine.stops
    assert other.stops


def test_a_read_only_or_full_file_system_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(database_trouble.os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
        found = trouble_of(path)
        assert found is not None
        assert found.what == "its file system is read-only"
    monkeypatch.setattr(database_trouble.shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    found = trouble_of(path)
    assert found is not None
    assert found.what == "no space is left on its file system"
