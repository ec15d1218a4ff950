"""Which groups a peer draws that asks for what it cannot do."""

import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.learning import NeedSampler, group_sampler
from swarmd.learning.samplers import need
from tests.learning.candidates import NOW, group

FAILED, MASTERED = bytes(16), bytes([1]) * 16
KNOWS = replace(NOW, success={FAILED: 0.0, MASTERED: 1.0})
WRONG = group("wrong", 0.0, 0.0, task_id=FAILED)


def draw(pool, count, context=KNOWS, seed=0):
    return NeedSampler().draw(pool, count, random.Random(seed), context)


def test_what_this_peer_fails_at_is_drawn_before_what_it_has_mastered():
    pool = [group(f"p{n}", 1.0, 0.0, task_id=task) for n in range(2) for task in (FAILED, MASTERED)]
    first = [draw(pool, 1, seed=seed)[0].task_id for seed in range(300)]
    assert first.count(FAILED) > 2 * first.count(MASTERED)


def test_a_group_that_is_right_throughout_is_drawn_where_this_peer_fails_and_not_where_it_does_not():
    assert draw([group("a", 1.0, 1.0, task_id=FAILED), group("b", 1.0, 1.0, task_id=MASTERED), WRONG], 3) == [
        group("a", 1.0, 1.0, task_id=FAILED)
    ]


def test_a_family_never_asked_counts_as_one_that_this_peer_fails_at():
    right = group("a", 1.0, 1.0)
    assert need(right, NOW) == need(right, KNOWS) > 0


def test_whom_this_peer_does_not_trust_is_not_drawn():
    assert draw([group("liar", 1.0, 0.0)], 1, replace(KNOWS, trust={"liar": 0.0})) == []


@given(st.lists(st.booleans(), min_size=2, max_size=8), st.floats(0, 1), st.floats(0, 1))
def test_need_is_bounded_and_falls_as_this_peer_learns(rewards, one, other):
    asked = group("a", *map(float, rewards))
    low, high = sorted((one, other))
    weak, able = (need(asked, replace(NOW, success={asked.task_id: p})) for p in (low, high))
    assert 0 <= able <= weak + 1e-9 <= 1 + 2e-9


def test_draws_are_repeated_by_the_same_seed_and_take_no_group_twice():
    pool = [group(f"p{n}", 1.0, 0.0) for n in range(5)]
    assert draw(pool, 3, seed=7) == draw(pool, 3, seed=7)
    assert len({g.publisher for g in draw(pool, 9)}) == 5


def test_the_configuration_names_it():
    assert isinstance(group_sampler(LearningConfig(sampler="need")), NeedSampler)
