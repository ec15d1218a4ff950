"""A disk that cannot lock is named; the rest is tested where runs are played."""

from __future__ import annotations

import errno
import fcntl

import pytest

from swarmd.errors import StorageError
from swarmd.experiment.claiming import claimed


def test_a_disk_without_locks_is_an_error_that_names_the_folder(tmp_path, monkeypatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=f"lock {tmp_path}.*no locks available"), claimed(tmp_path):
        pass
