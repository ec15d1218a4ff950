"""Of several failures at once, the one to be told about: a bug before what a person can act on."""

from __future__ import annotations

from swarmd.daemon.runtime import _one_of
from swarmd.errors import ConfigError, NetworkError, StorageError

FULL = StorageError("the disk is full")


def test_one_failure_is_itself_however_deep():
    assert _one_of(ExceptionGroup("tasks", [ExceptionGroup("exchange", [FULL])])) is FULL


def test_a_bug_is_never_hidden_behind_an_error():
    bug = KeyError("digest")
    group = ExceptionGroup("tasks", [FULL, ExceptionGroup("exchange", [NetworkError("gone"), bug])])
    assert _one_of(group) is bug


def test_of_several_errors_the_first_is_told():
    assert _one_of(ExceptionGroup("tasks", [FULL, ConfigError("port")])) is FULL
