"""Rests between steps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.daemon.resting import REST_S_MAX, STEPS_KEPT, Rest

steps = st.lists(st.floats(0.01, 600.0), min_size=2, max_size=30)


@pytest.mark.parametrize(("duty", "seconds"), [(1.0, 0.0), (0.5, 2.0), (0.25, 6.0), (0.02, 98.0)])
def test_a_rest_makes_steps_the_share_of_the_time_that_was_asked_for(duty, seconds):
    rest = Rest(duty)
    assert rest.after(100.0) == 0.0, "the first step loads and warms up"
    assert rest.after(2.0) == pytest.approx(seconds)


def test_evaluating_and_saving_are_rested_for_in_full():
    rest = Rest(0.25)
    rest.after(1.0)
    assert rest.after(1.0, beside_s=4.0) == pytest.approx(15.0)
    assert rest.after(1.0) == pytest.approx(3.0)


def test_steps_that_were_held_up_do_not_become_minutes_of_rest():
    rest = Rest(0.5)
    usual = [rest.after(1.0) for _ in range(STEPS_KEPT)]
    held_up = [rest.after(300.0) for _ in range(4)]
    assert held_up == [1.0] * 4 == usual[-4:]


def test_one_of_the_first_steps_that_was_held_up_is_soon_forgotten():
    rest = Rest(0.02)
    rests = [rest.after(seconds) for seconds in (20.0, 600.0, 1.0, 1.0)]
    assert rests == [0.0, REST_S_MAX, pytest.approx(49.0), pytest.approx(49.0)]


@given(steps, st.floats(0.02, 1.0))
def test_a_rest_is_never_longer_than_the_longest_step_asks_for_nor_than_its_bound(lengths, duty):
    rest = Rest(duty)
    for length in lengths:
        assert 0.0 <= rest.after(length) <= min(REST_S_MAX, max(lengths) * (1.0 / duty - 1.0) + 1e-9)
