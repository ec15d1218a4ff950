"""The garbage collector rests while much is imported, and is as before afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from swarmd.importing import importing


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    yield
    gc.enable()
    gc.unfreeze()


def test_it_rests_within_the_block_and_works_afterwards() -> None:
    with importing():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_works_again_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()


def test_where_it_rested_before_it_goes_on_resting() -> None:
    gc.disable()
    with importing():
        pass
    assert not gc.isenabled()


def test_what_was_made_in_the_block_is_not_looked_at_again() -> None:
    gc.unfreeze()
    before = gc.get_freeze_count()
    with importing():
        kept = [[] for _ in range(100)]
    assert gc.get_freeze_count() >= before + len(kept)
