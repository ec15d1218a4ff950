"""The database file: versions, corruption, a disk that refuses, a process that is killed."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from protocol import Reason
from swarmd.errors import StorageError, is_disk_full
from swarmd.storage import Database
from swarmd.storage import database as database_module
from swarmd.storage.connection import WAL_BYTES_KEPT, Connection, is_full
from swarmd.storage.database import MIGRATIONS

NOW = 1_800_000_000.0


def filled(path: Path, steps: int = 30) -> None:
    with Database(path) as database:
        for step in range(1, steps + 1):
            database.steps.record(step, reward=0.5, metrics={"text": "x" * 1_000}, now=NOW)
            database.ledger.rejected(Reason.SIGNATURE, "bad", now=NOW)


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path / "swarmd.db")
    with Database(tmp_path / "swarmd.db") as database:
        assert database.steps.rewards().last == 0.5
        assert database.ledger.counts().rejected == {"signature": 30}


def test_closing_twice_is_fine(tmp_path: Path) -> None:
    database = Database(tmp_path / "swarmd.db")
    database.close()
    database.close()


def test_a_database_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    path, known = tmp_path / "swarmd.db", len(MIGRATIONS)
    filled(path)
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {known + 1}")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(
        StorageError,
        match=rf"has version {known + 1} and this swarmd knows none above {known}: use the newer",
    ):
        Database(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if "damaged" in p.name] == []


def test_a_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "swarmd.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE theirs (x)")
        raw.execute("INSERT INTO theirs VALUES (1)")
    raw.close()
    with pytest.raises(StorageError, match="is the database of another program; move it away"):
        Database(path)
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT x FROM theirs").fetchall() == [(1,)]
    raw.close()


def test_an_older_version_is_migrated_with_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "swarmd.db"
    filled(path)
    newer = (*MIGRATIONS, "ALTER TABLE steps ADD COLUMN note TEXT; UPDATE steps SET note = 'migrated'")
    monkeypatch.setattr(database_module, "MIGRATIONS", newer)
    with Database(path) as database:
        assert database.steps.rewards().last == 0.5
    with sqlite3.connect(path) as raw:
        assert raw.execute("SELECT DISTINCT note FROM steps").fetchall() == [("migrated",)]
        assert raw.execute("PRAGMA user_version").fetchall() == [(len(newer),)]
    raw.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "swarmd.db"
    filled(path)
    broken = (*MIGRATIONS, "DELETE FROM steps; DELETE FROM nowhere")
    monkeypatch.setattr(database_module, "MIGRATIONS", broken)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        Database(path)
    monkeypatch.undo()
    with Database(path) as database:
        assert len(database.steps.metrics(100)) == 30


def overwrite_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"this is not a database any more")


def overwrite_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8_192)


def cut_in_half(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def cut_to_a_few_bytes(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(50)


@pytest.mark.parametrize("damage", [overwrite_header, overwrite_middle, cut_in_half, cut_to_a_few_bytes])
def test_a_damaged_database_is_set_aside_replaced_and_reported(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "swarmd.db"
    (tmp_path / "records").mkdir()
    filled(path)
    assert callable(damage)
    damage(path)
    damaged = path.read_bytes()
    problems: list[str] = []
    with Database(path, on_problem=problems.append) as database:
        assert database.steps.rewards().last is None
        database.steps.record(1, reward=0.25, metrics={}, now=NOW)
    [problem] = problems
    assert "is damaged" in problem
    assert str(tmp_path / "damaged-swarmd.db") in problem
    assert (tmp_path / "damaged-swarmd.db").read_bytes() == damaged
    assert (tmp_path / "records").is_dir()
    with Database(path, on_problem=problems.append) as database:
        assert database.steps.rewards().last == 0.25
    assert len(problems) == 1


def test_damaged_ones_are_all_kept(tmp_path: Path) -> None:
    contents = [b"this is not a database %d" % n * 100 for n in range(3)]
    for content in contents:
        (tmp_path / "swarmd.db").write_bytes(content)
        Database(tmp_path / "swarmd.db", on_problem=lambda problem: None).close()
    names = ("damaged-swarmd.db", "damaged-swarmd.db.2", "damaged-swarmd.db.3")
    assert [(tmp_path / name).read_bytes() for name in names] == contents


def test_the_log_of_a_database_that_is_gone_is_kept(tmp_path: Path) -> None:
    """SQLite itself would delete the log."""
    path, log = tmp_path / "swarmd.db", tmp_path / "swarmd.db-wal"
    with Database(path) as database:
        database.steps.record(1, reward=0.5, metrics={}, now=NOW)
        written = log.read_bytes()
    path.unlink()
    log.write_bytes(written)
    problems: list[str] = []
    with Database(path, on_problem=problems.append) as database:
        assert database.is_new
    assert (tmp_path / "damaged-swarmd.db-wal").read_bytes() == written
    assert "its log is kept as" in problems[0]


def test_the_log_stays_small_and_tables_stay_bounded(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        for step in range(3_000):
            database.steps.record(step, reward=0.5, metrics={"text": "x" * 1_000}, now=NOW)
        assert (tmp_path / "swarmd.db-wal").stat().st_size <= WAL_BYTES_KEPT + 2**20


def test_facts_survive_a_restart(tmp_path: Path) -> None:
    with Database(tmp_path / "swarmd.db") as database:
        facts = database.facts
        assert (facts.peer_id, facts.swarm_id, facts.saved_step, database.is_new) == (None, None, None, True)
        facts.set_peer("P")
        facts.set_swarm(bytes(32))
        for step in (5, 7):
            facts.set_saved_step(step)
    with Database(tmp_path / "swarmd.db") as database:
        facts = database.facts
        assert (facts.peer_id, facts.swarm_id, facts.saved_step, database.is_new) == (
            "P",
            bytes(32),
            7,
            False,
        )


def test_a_path_that_is_not_a_file_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "swarmd.db").mkdir()
    with pytest.raises(StorageError, match=r"swarmd\.db failed .*cannot be opened; check its permissions"):
        Database(tmp_path / "swarmd.db")


def test_a_home_that_is_no_longer_there_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened"):
        Connection(tmp_path / "gone" / "swarmd.db")


def test_a_full_disk_names_the_remedy_and_rolls_back(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "swarmd.db")
    connection.execute("CREATE TABLE t (x)")
    connection.execute("INSERT INTO t VALUES ('before')")
    connection.execute("PRAGMA max_page_count = 4")  # SQLite's own way to be out of space

    def write() -> None:
        with connection.transaction():
            connection.execute("INSERT INTO t VALUES ('small')")
            connection.execute("INSERT INTO t VALUES (zeroblob(100000))")

    with pytest.raises(StorageError, match=r"full.*free some space and start again"):
        write()
    assert connection.execute("SELECT x FROM t") == [("before",)]
    connection.close()


def test_a_full_quota_is_a_full_disk_although_sqlite_calls_it_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite knows no quota, and neither does the free space of a file system: only a write shows it."""
    assert not is_full(tmp_path)
    broken = sqlite3.OperationalError("disk I/O error")
    broken.sqlite_errorcode = sqlite3.SQLITE_IOERR

    def fail(*_: object) -> None:
        raise broken

    connection = Connection(tmp_path / "swarmd.db")
    monkeypatch.setattr(connection, "_sqlite", SimpleNamespace(execute=fail, close=connection.close))
    with pytest.raises(StorageError, match="reports errors or is full") as raised:
        connection.execute("SELECT 1")
    assert not is_disk_full(raised.value)

    def no_room(_descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StorageError, match="free some space") as raised:
        connection.execute("SELECT 1")
    assert is_disk_full(raised.value)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("swarmd.db")] == []


def test_a_disk_that_refuses_is_a_storage_error(tmp_path: Path) -> None:
    """The kernel really refuses: a limit on the size of files."""
    script = """
import resource, sys
from pathlib import Path
from swarmd.errors import StorageError
from swarmd.storage.connection import WAL_BYTES_KEPT, Connection

connection = Connection(Path(sys.argv[1]))
connection.execute("CREATE TABLE t (x)")
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    connection.execute("INSERT INTO t VALUES (zeroblob(1000000))")
except StorageError as error:
    print(error)
print(connection.execute("SELECT COUNT(*) FROM t"))
"""
    message, count = run(script, tmp_path / "swarmd.db").splitlines()
    assert "swarmd.db failed (disk I/O error)" in message or "full" in message
    assert count == "[(0,)]"


def test_a_bug_in_sql_is_not_dressed_up_as_a_disk_error(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "swarmd.db")
    with pytest.raises(sqlite3.OperationalError, match="syntax error"):
        connection.execute("SELEKT")
    connection.close()


def test_transactions_nest_into_one(tmp_path: Path) -> None:
    connection = Connection(tmp_path / "swarmd.db")
    connection.execute("CREATE TABLE t (x)")

    def write() -> None:
        with connection.transaction():
            with connection.transaction():
                connection.execute("INSERT INTO t VALUES (1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert connection.execute("SELECT x FROM t") == []
    connection.close()


def run(script: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


KILLS = """
import hashlib, os, signal, sys
from itertools import count
from pathlib import Path
from protocol import Reason
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.storage import Database

PATH = Path(sys.argv[1])

def digest(step):
    return hashlib.sha256(str(step).encode()).digest()

def group(step):
    completions = tuple(ScoredCompletion(text="x" * 500, reward=r, finished=True) for r in (0.0, 1.0))
    return ScoredGroup(
        publisher="P", task_id=bytes(16), task_name="t", question="q", completions=completions, round=step,
        step=step, model="m", tokenizer=bytes(8), digest=digest(step), external=True,
    )

def write_for_ever(first, acknowledgements):
    with Database(PATH) as database:
        for step in count(first):
            database.ledger.rejected(Reason.SIZE, "x" * 300, now=float(step))
            database.pool.add(group(step), now=float(step))
            database.pool.mark_used([digest(step)], step, now=float(step))
            database.steps.record(step, reward=0.5, metrics={"text": "x" * 1000}, now=float(step))
            print(step, file=acknowledgements, flush=True)

last = 0
for kill_after in (1, 2, 10, 50, 300):
    reading, writing = os.pipe()
    writer = os.fork()
    if writer == 0:
        write_for_ever(last + 1, os.fdopen(writing, "w"))
    os.close(writing)
    with os.fdopen(reading) as acknowledgements:
        for _ in range(kill_after):
            acknowledged = int(acknowledgements.readline())
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        for line in acknowledgements:
            acknowledged = int(line)
    problems = []
    with Database(PATH, on_problem=problems.append) as database:
        steps, counts = database.steps.metrics(1)[0][0], database.ledger.counts()
        assert not problems, problems
        assert acknowledged <= steps <= acknowledged + 1, (acknowledged, steps)
        assert len(database.steps.metrics(10_000)) == steps
        # A step that was cut short is repeated: its events before the cut are there already.
        assert steps <= counts.external_used <= counts.pulled <= steps + 1, (steps, counts)
        assert counts.pulled == len(database.pool) == database.ledger.by_publisher()["P"].groups_pulled
        assert steps <= counts.rejected["size"]
    last = steps
print(last)
"""


def test_a_writer_killed_again_and_again_loses_nothing_it_had_written(tmp_path: Path) -> None:
    assert int(run(KILLS, tmp_path / "swarmd.db")) >= 363
