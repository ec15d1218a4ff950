"""A short form of `python -m tests.protocol.fuzz`: hostile inputs are refused by name, quickly."""

from __future__ import annotations

import random

import pytest

from protocol import RejectedRecord
from tests.protocol.fuzz.__main__ import FuzzError, fuzz
from tests.protocol.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_hostile_inputs_are_refused_by_name_and_some_pass(name):
    counts = fuzz(TARGETS[name], 1_500, seed=1).counts

    assert counts["accepted"] > 0, "inputs that are all refused at the door test the door"
    assert counts.total() - counts["accepted"] > 100


def test_the_same_seed_makes_the_same_inputs():
    def first(name: str) -> list[object]:
        rng = random.Random(3)
        return [repr(TARGETS[name].make(rng)) for _ in range(50)]

    for name in TARGETS:
        if name != "canonical_json":  # its objects have addresses
            assert first(name) == first(name)


def test_another_exception_than_the_named_one_is_found():
    def read(data: bytes) -> None:
        raise IndexError(len(data))

    with pytest.raises(FuzzError, match="input 0 of seed 7"):
        fuzz(Target(lambda rng: rng.randbytes(4), read, RejectedRecord), 10, seed=7)
