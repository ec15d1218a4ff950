"""Credit for names."""

from __future__ import annotations

from swarmd.network.vouching import CREDIT, Vouching


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_node_that_names_nobody_has_few_of_its_names_followed() -> None:
    clock = Clock()
    vouching = Vouching(clock)
    assert sum(vouching.follow(1) for _ in range(100)) == CREDIT.burst
    clock.now = 60.0
    assert sum(vouching.follow(1) for _ in range(100)) == 60 * CREDIT.per_second
    assert vouching.follow(2)


def test_names_that_answer_cost_nothing() -> None:
    vouching = Vouching(Clock())
    for _ in range(100):
        assert vouching.follow(1)
        vouching.answered(1)
    assert sum(vouching.follow(1) for _ in range(100)) == CREDIT.burst
