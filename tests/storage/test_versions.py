"""Homes of a newer swarmd are refused before anything is touched; damage is for others to report."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import torch

from swarmd.errors import ConfigError
from swarmd.storage import Checkpoints, Database, Home
from swarmd.storage.schema import MIGRATIONS
from swarmd.storage.versions import CHECKPOINT_FORMAT, CHECKPOINT_MANIFEST


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One that has trained."""
    home = Home.open(tmp_path / "home")
    Database(home.database_path).close()
    Checkpoints(home.checkpoints_path, 3).save(1, tensors={"w": torch.ones(2)}, optimizer={}, state={})
    return home


def set_version(database: Path, version: int) -> None:
    with closing(sqlite3.connect(database)) as raw:
        raw.execute(f"PRAGMA user_version = {version}")
        raw.commit()


def set_format(checkpoint: Path, number: object) -> None:
    (checkpoint / CHECKPOINT_MANIFEST).write_text(json.dumps({"manifest": {"format": number}, "sha256": ""}))


def test_a_home_of_this_version_or_an_older_one_is_opened(home: Home) -> None:
    home.require_known_versions()
    set_version(home.database_path, len(MIGRATIONS) - 1)
    home.require_known_versions()


def test_a_newer_database_is_refused_with_what_to_do_and_left_alone(home: Home) -> None:
    set_version(home.database_path, len(MIGRATIONS) + 1)
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    for opening in (Home.open, Home.existing):
        with pytest.raises(ConfigError, match=r"newer swarmd: its database has version .* Install the newer"):
            opening(home.path)
    assert {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()} == before


def test_a_version_that_is_only_in_the_log_of_a_killed_daemon_counts(home: Home) -> None:
    with closing(sqlite3.connect(home.database_path)) as daemon:
        daemon.execute("PRAGMA journal_mode = WAL")
        daemon.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
        daemon.commit()
        with pytest.raises(ConfigError, match="database has version"):
            home.require_known_versions()


def test_a_newer_checkpoint_is_refused(home: Home) -> None:
    newest = home.checkpoints_path / "00000002-step-5"
    newest.mkdir()
    set_format(newest, CHECKPOINT_FORMAT + 1)
    with pytest.raises(ConfigError, match=f"newest checkpoint has format {CHECKPOINT_FORMAT + 1}"):
        home.require_known_versions()


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[]", b'{"manifest": []}', b'{"manifest": {"format": "9"}}']
)
def test_a_damaged_manifest_says_nothing_about_versions(home: Home, content: bytes) -> None:
    (newest,) = home.checkpoints_path.iterdir()
    (newest / CHECKPOINT_MANIFEST).write_bytes(content)
    home.require_known_versions()


@pytest.mark.parametrize("content", [b"", b"no database at all, but longer than the header of one" * 4])
def test_a_damaged_database_says_nothing_about_versions(home: Home, content: bytes) -> None:
    home.database_path.write_bytes(content)
    home.require_known_versions()


def test_the_database_of_another_program_is_not_a_newer_one(home: Home) -> None:
    home.database_path.unlink()
    set_version(home.database_path, 99)
    home.require_known_versions()
