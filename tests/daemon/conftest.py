"""A home's storage on disk, and an event log to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmd.storage import Database, Home
from tests.daemon.fakes import Events


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    with Database(home.database_path) as opened:
        yield opened
