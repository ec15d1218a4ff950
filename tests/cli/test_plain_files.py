"""Files that are not in a home, such as a copy of a key: what is said if they cannot be read or written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from swarmd.storage import Home, durable

WRITTEN = [
    ("swarm", "create", "mine", "--out", "{file}", "--home", "{home}"),
    ("key", "backup", "{file}", "--home", "{home}"),
]


@pytest.mark.parametrize("typed", WRITTEN, ids=" ".join)
def test_a_file_that_cannot_be_written_is_named_and_no_other_home_is_advised(
    swarmd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    home = Home.open(tmp_path / "home").path
    file = tmp_path / "shared"

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(durable, "write_whole", refuse)
    monkeypatch.setattr("swarmd.cli.key.write_whole", refuse)
    outcome = swarmd(*(word.format(file=file, home=home) for word in typed))
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == (
        f"error: {file} cannot be written: read-only file system; the file system is read-only: "
        "choose another file"
    )


def test_a_directory_given_as_a_key_file_is_called_one(swarmd, tmp_path: Path) -> None:
    outcome = swarmd("key", "restore", tmp_path, "--home", tmp_path / "home")
    assert outcome.code == 2
    assert outcome.err == f"error: {tmp_path} cannot be read: is a directory; choose another file\n"
