"""Today's swarmd goes on with a home of an earlier one. tests/assets/README.md says how the home was made."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from swarmd.cli.app import main
from swarmd.storage import Home
from swarmd.storage.schema import MIGRATIONS
from tests.integration.daemon_process import DaemonProcess

OLD = Path(__file__).parents[1] / "assets" / "home_of_schema_3"
LAST_STEP = 4

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(400)]


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """A copy, with the rights that git does not keep."""
    home = tmp_path / "home"
    shutil.copytree(OLD, home)
    for path in home.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    home.chmod(0o700)
    return home


def version_of(home: Path) -> int:
    with closing(sqlite3.connect(home / "swarmd.db")) as raw:
        [(version,)] = raw.execute("PRAGMA user_version")
    return int(version)


def succeed(*arguments: str) -> None:
    """Run a command here: a process of its own would import PyTorch again."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert not ended.value.code


def test_it_is_whole_before_it_is_opened_and_looking_changes_nothing(
    old_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in old_home.rglob("*") if path.is_file()}
    succeed("check", "--home", str(old_home))
    assert capsys.readouterr().out.endswith("nothing is wrong\n")
    assert {path: path.read_bytes() for path in old_home.rglob("*") if path.is_file()} == before


def test_it_goes_on_as_the_same_peer_with_all_that_it_had(
    old_home: Path, join: Callable[..., DaemonProcess]
) -> None:
    assert version_of(old_home) < len(MIGRATIONS)
    peer = Home(old_home).key().peer_id
    had = {path.name for path in (old_home / "records").iterdir()}
    assert had

    daemon = join(old_home.name, "--steps", "1", "--lora", "r=1", "--local", "2", "--group-size", "4")
    daemon.wait_for_step(LAST_STEP + 1)
    assert daemon.wait() == 0, daemon.describe()
    assert daemon.wait_for("started")["peer_id"] == peer
    assert [event["step"] for event in daemon.named("step")] == [LAST_STEP + 1]
    assert daemon.stderr == "", daemon.describe()

    assert version_of(old_home) == len(MIGRATIONS)
    assert had <= {path.name for path in (old_home / "records").iterdir()}
    with closing(sqlite3.connect(old_home / "swarmd.db")) as raw:
        steps = [step for (step,) in raw.execute("SELECT step FROM steps ORDER BY step")]
    assert steps == list(range(1, LAST_STEP + 2))
    succeed("check", "--home", str(old_home))
    succeed("records", "verify", str(old_home / "records" / min(had)), "--home", str(old_home))
