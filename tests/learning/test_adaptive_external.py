"""When J goes down, when up, how far, and what a rest is."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from swarmd.config import LearningConfig
from swarmd.learning import AdaptiveExternal, count_unlikely
from swarmd.learning.adaptive_external import REST_MAX, REST_MIN, UNLIKELY, WINDOW
from tests.learning.samplers.making import group

JITTER = (0.01, -0.01)
"""Rewards of a window differ: a spread of 0 would make any change sure."""


def windows(start, *rewards, trained=4, unlikely=0):
    """After a window of each of these mean rewards; J after each is in `seen`."""
    now, seen = start, []
    for mean in rewards:
        for number in range(WINDOW):
            now = now.after_step(mean + JITTER[number % 2], trained, unlikely)
        seen.append(now.external)
    return now, seen


def at(external, most=6):
    """With J in the middle of its range, and a window at 0.5 to compare with."""
    return windows(AdaptiveExternal(most=most, external=external), 0.5)[0]


# Whatever is observed -----------------------------------------------------------------------------

steps = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 6), st.integers(0, 6), st.none() | st.floats(0, 1)),
    max_size=200,
)


def followed(start, observed):
    """J after each step, and the last state. An observation may bring an evaluation."""
    now, seen = start, [start.external]
    for reward, trained, unlikely, success in observed:
        if success is not None:
            now = now.after_evaluation(success, 100)
        now = now.after_step(reward, trained, min(trained, unlikely))
        seen.append(now.external)
    return now, seen


@given(most=st.integers(0, 8), observed=steps)
def test_j_stays_within_its_bounds_and_moves_by_one_at_the_end_of_a_window_only(most, observed):
    _, seen = followed(AdaptiveExternal.start(most), observed)
    assert all(0 <= external <= most for external in seen)
    for number, (before, after) in enumerate(pairwise(seen), start=1):
        assert abs(after - before) <= (number % WINDOW == 0)


@given(observed=steps, cut=st.integers(0, 60))
def test_a_state_that_was_written_and_read_goes_on_the_same(observed, cut):
    whole, _ = followed(AdaptiveExternal.start(4), observed)
    first, _ = followed(AdaptiveExternal.start(4), observed[:cut])
    read = TypeAdapter(AdaptiveExternal).validate_python(json.loads(json.dumps(asdict(first))))
    assert read == first
    assert followed(read, observed[cut:])[0] == whole


# What moves it ------------------------------------------------------------------------------------


def test_it_begins_with_all():
    configured = AdaptiveExternal.configured(LearningConfig(external=5, adaptive_external=True))
    assert configured == AdaptiveExternal.start(5)
    assert AdaptiveExternal.start(5).external == 5
    assert AdaptiveExternal.configured(LearningConfig(external=5)) is None


def test_falling_success_lowers_it_and_rising_success_raises_it():
    assert windows(at(3), 0.4, 0.3, 0.2)[1] == [2, 1, 0]
    assert windows(at(3), 0.6, 0.7, 0.8, 0.9)[1] == [4, 5, 6, 6]


def test_a_change_that_chance_would_make_moves_nothing_until_it_adds_up():
    assert windows(at(3), 0.502, 0.498, 0.503)[1] == [3, 3, 3]
    assert windows(at(3), 0.498, 0.496, 0.494, 0.485)[1] == [3, 3, 3, 2]


def test_success_that_never_was_is_no_harm():
    now = AdaptiveExternal.start(4)
    for _ in range(10 * WINDOW):
        now = now.after_step(0.0, 4, 0)
    assert now.external == 4


def test_mostly_unlikely_groups_lower_it_unless_success_rises():
    assert windows(at(3), 0.5, 0.5, unlikely=3)[1] == [2, 1]
    assert windows(at(3), 0.5, unlikely=2)[1] == [3], "half is not most"
    assert windows(at(3), 0.6, unlikely=4)[1] == [4]


def test_without_anything_of_others_in_the_batch_a_change_is_not_theirs():
    now, seen = windows(at(3), 0.1, 0.9, trained=0)
    assert seen == [3, 3]
    assert windows(now, 0.9)[1] == [3], "the last window without others is what comes after is compared with"


def test_an_evaluation_judges_its_window_in_place_of_rewards():
    known = windows(at(3).after_evaluation(0.5, 100), 0.5)[0]
    assert windows(known.after_evaluation(0.2, 100), 0.9)[1] == [2]
    assert windows(known.after_evaluation(0.8, 100), 0.1)[1] == [4]
    assert windows(known.after_evaluation(0.45, 100), 0.1)[1] == [3], "ten questions of a hundred are chance"
    assert windows(known, 0.1)[1] == [2], "without a new one rewards judge again"


# Rests --------------------------------------------------------------------------------------------


def rests(start, count):
    """Lengths in windows of the next rests of a peer that every external group hurts."""
    now, lengths, reward = start, [], 0.5
    while len(lengths) < count:
        length = 0
        while now.external == 0:
            now, _ = windows(now, reward, trained=0)
            length += 1
        lengths += [length] if length else []
        now, _ = windows(now, reward - 0.1)
    return lengths


def test_a_rest_ends_with_one_group_and_each_further_one_is_twice_as_long():
    assert rests(at(1), 6) == [REST_MIN, 8, 16, 32, REST_MAX, REST_MAX]


def test_back_at_its_most_old_rests_are_forgotten():
    tired, _ = windows(at(1, most=2), 0.4)
    assert tired.rest == 2 * REST_MIN
    rested, _ = windows(tired, *[0.4] * REST_MIN, trained=0)
    assert rested.external == 1
    again, seen = windows(rested, 0.6)
    assert (seen, again.rest) == ([2], REST_MIN)


def test_another_bound_after_a_restart_is_kept():
    assert AdaptiveExternal.start(6).at_most(4).external == 4
    assert AdaptiveExternal(most=6, external=2).at_most(8).external == 2
    assert AdaptiveExternal.start(6).at_most(0).weight == 0


def test_a_lower_j_weighs_less():
    assert [AdaptiveExternal(most=4, external=j).weight for j in (0, 1, 4)] == [0, 0.25, 1]


# Unlikely text ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("surprisal", "expected"),
    [(1.0, 0), (1.0 + UNLIKELY, 0), (1.1 + UNLIKELY, 1), (0.0, 0), (math.inf, 1), (math.nan, 1)],
)
def test_text_far_above_the_surprisal_of_own_text_is_unlikely(surprisal, expected):
    assert count_unlikely([group("p", 0, 1)], {"p": surprisal}, 1.0) == (1, expected)


def test_only_groups_that_were_trained_on_count_and_nothing_is_unlikely_before_own_text_is_known():
    groups = [group("far", 0, 1), group("far", 0, 1), group("near", 0, 1), group("unused", 0, 1)]
    surprisal = {"far": 9.0, "near": 1.0}
    assert count_unlikely(groups, surprisal, 1.0) == (3, 2)
    assert count_unlikely(groups, surprisal, None) == (3, 0)
