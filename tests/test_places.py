"""The runtime directory of a home: private, emptied at the start, gone at the end."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from swarmd.errors import ConfigError
from swarmd.places import runtime_directory, runtime_path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    return directory


def test_what_killed_daemons_of_this_home_left_is_removed_and_nothing_else(
    tmp_path: Path, temporary: Path
) -> None:
    with runtime_directory(tmp_path / "other") as other:
        (other / "worker-1").mkdir()
        path = runtime_path(tmp_path / "home")
        (path / "worker-2").mkdir(parents=True)
        path.chmod(0o700)
        (path / "worker-2" / "file").touch()
        (path / "p2pd-x.sock").touch()
        (path / "link").symlink_to(other)
        with runtime_directory(tmp_path / "home") as mine:
            assert mine == path
            assert mine.stat().st_mode & 0o777 == 0o700
            assert list(mine.iterdir()) == []
            (mine / "p2pd-y.sock").touch()
        assert not path.exists()
        assert (other / "worker-1").is_dir()
    assert list(temporary.iterdir()) == []


def test_one_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    runtime_path(tmp_path).mkdir()
    runtime_path(tmp_path).chmod(0o755)
    with (
        pytest.raises(ConfigError, match="is not a private directory of this user"),
        runtime_directory(tmp_path),
    ):
        pytest.fail("entered")
