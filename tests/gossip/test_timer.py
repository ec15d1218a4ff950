"""A timer pauses as long as it was told to, whatever the fraction of a second."""

from __future__ import annotations

import pytest

from swarmd.gossip.timer import Timer

NOW = 1_790_000_000.25


@pytest.mark.parametrize("thousandths", range(4_000, 4_040))
def test_it_is_not_due_at_the_moment_at_which_its_pause_begins(thousandths: int) -> None:
    """Added to unix time, a pause is rounded up as often as down: a loop that read on never ended."""
    timer = Timer()
    timer.pause(NOW, thousandths / 1_000)
    assert not timer.due(NOW)
    assert timer.due(NOW + thousandths / 1_000)


def test_it_is_due_where_the_clock_jumped_back_behind_the_beginning_of_the_pause() -> None:
    timer = Timer()
    timer.pause(NOW, 4.0)
    assert timer.due(NOW - 1.0)


def test_it_is_due_at_first_and_when_woken() -> None:
    timer = Timer()
    assert timer.due(NOW)
    timer.pause(NOW, 4.0)
    timer.wake()
    assert timer.due(NOW)
