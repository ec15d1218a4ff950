"""A few hundred inputs for every reader of the transport; `tests.hostile.fuzz` feeds a million."""

from __future__ import annotations

import pytest

from tests.hostile.fuzz import fuzz, readers

COUNT = 400


@pytest.mark.parametrize("name", [reader.name for reader in readers()])
def test_a_reader_accepts_or_refuses_by_name_whatever_it_is_given(name: str) -> None:
    [reader] = [reader for reader in readers() if reader.name == name]
    report = fuzz(reader, seed=1, count=COUNT)
    assert report.raised == {}
    assert report.refused.total() + report.accepted == COUNT
    assert report.refused.total() > 0


@pytest.mark.parametrize("name", ["store request", "find answer", "dictionary", "binary address"])
def test_the_samples_that_fuzzing_begins_with_are_sound(name: str) -> None:
    [reader] = [reader for reader in readers() if reader.name == name]
    reader.read(reader.seeds[0])
