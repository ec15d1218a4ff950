"""What is said of a disk error: its cause, and what the user can choose instead."""

from __future__ import annotations

import errno
import os

import pytest

from swarmd.errors import DiskFullError, StorageError
from swarmd.storage.durable import FILE, HOME, OUT, disk_error, remedy


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR])
@pytest.mark.parametrize("instead", [HOME, FILE, OUT])
def test_one_thing_to_choose_instead_is_named_and_it_fits_what_was_refused(number: int, instead: str) -> None:
    text = remedy(OSError(number, os.strerror(number)), instead)
    assert text.endswith(f"choose {instead}")
    assert [other for other in (HOME, FILE, OUT) if other in text] == [instead]


@pytest.mark.parametrize("number", [number for number in errno.errorcode if number not in (0, errno.EPERM)])
def test_every_error_of_a_file_has_a_remedy_that_speaks_of_no_home(number: int) -> None:
    cause, _, advice = remedy(OSError(number, os.strerror(number)), FILE).partition("; ")
    assert cause.lower() == os.strerror(number).lower()
    assert advice
    assert "--home" not in advice
    assert "{" not in advice


def test_a_full_disk_is_told_apart_whatever_else_could_be_chosen() -> None:
    full = disk_error("write x", OSError(errno.ENOSPC, ""), FILE)
    assert isinstance(full, DiskFullError)
    assert (
        str(full) == "cannot write x: no space left on device; free some space on that disk and start again"
    )
    refused = disk_error("write x", OSError(errno.EROFS, ""), OUT)
    assert type(refused) is StorageError
    assert str(refused).endswith("choose another --out")
