"""A disk that is full or read-only, at every write into a home: one clear line, and what was there stays."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from protocol import KeyPair, sign_record
from swarmd.cli.init import open_home, write_config
from swarmd.errors import SwarmdError
from swarmd.storage import BlobStore, Checkpoints, Database, Home
from swarmd.storage.connection import Connection
from tests.gossip.making import START, make_manifest, make_record

MANIFEST = make_manifest()
ENVELOPE = sign_record(KeyPair.from_seed(bytes(32)), make_record(MANIFEST, 1, START))
CAUSES = {
    errno.ENOSPC: "no space left on device; free some space",
    errno.EROFS: "read-only file system|is read-only",
}


def save(home: Home) -> None:
    Checkpoints(home.checkpoints_path, 2).save(1, tensors={"w": torch.ones(4)}, optimizer={}, state={})


def forget_and_write_config(home: Home) -> None:
    home.config_path.unlink()
    write_config(home)


def set_damaged_aside(home: Home) -> None:
    checkpoints = Checkpoints(home.checkpoints_path, 2)
    (home.checkpoints_path / "00000002-step-2").mkdir(exist_ok=True)
    checkpoints.load_latest(lambda _: None)
    checkpoints.set_damaged_aside()


WRITES: dict[str, Callable[[Home], object]] = {
    "identity.key": lambda home: Home.open(home.path / "new"),
    "a restored key": lambda home: home.restore_key(KeyPair.from_seed(bytes(32)), replace=True),
    "config.toml": forget_and_write_config,
    "manifest.cbor": lambda home: home.write_manifest(MANIFEST.to_bytes()),
    "port": lambda home: home.write_port(41_017),
    "a record": lambda home: BlobStore(home.records_path, 2**20).put(ENVELOPE),
    "a checkpoint": save,
    "a damaged checkpoint set aside": set_damaged_aside,
    "a damaged database set aside": lambda home: Database(home.database_path, on_problem=lambda _: None),
}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = open_home(tmp_path / "home")
    save(home)
    home.database_path.write_bytes(b"this is not a database" * 100)
    return home


@pytest.mark.parametrize("code", CAUSES, ids=lambda code: errno.errorcode[code])
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_write_that_is_refused_is_one_clear_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, write: Callable[[Home], object], code: int
) -> None:
    identity, checkpoints = home.identity_path.read_bytes(), sorted(home.checkpoints_path.iterdir())

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    for name in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, name, refuse)
    with pytest.raises(SwarmdError, match=CAUSES[code]) as raised:
        write(home)
    monkeypatch.undo()
    assert "\n" not in str(raised.value)
    assert home.identity_path.read_bytes() == identity
    assert set(checkpoints) <= set(home.checkpoints_path.iterdir())
    assert home.database_path.read_bytes().startswith(b"this is not a database")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (sqlite3.SQLITE_FULL, "the disk is full; free some space"),
        (sqlite3.SQLITE_IOERR, "the disk reports errors"),
        (sqlite3.SQLITE_READONLY, "it is read-only"),
    ],
)
def test_a_database_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, cause: str
) -> None:
    """With SQLite's own message."""

    class Refusing:
        in_transaction = False

        def execute(self, sql: str, parameters: object = ()) -> None:
            error = sqlite3.OperationalError("refused")
            error.sqlite_errorcode = code
            raise error

        def close(self) -> None:
            pass

    monkeypatch.setattr(sqlite3, "connect", lambda *args, **kwargs: Refusing())
    with pytest.raises(SwarmdError, match=cause) as raised:
        Connection(tmp_path / "swarmd.db")
    assert "\n" not in str(raised.value)
