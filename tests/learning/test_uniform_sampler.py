"""What the paper's rule draws from the pool."""

import random
from collections import Counter
from dataclasses import replace

from swarmd.config import LearningConfig
from swarmd.learning import ScoredSampler, UniformSampler, group_sampler
from tests.learning.candidates import NOW, group

POOL = [group(f"p{n}", 0.0, 1.0) for n in range(5)] + [group("flat", 0.01, 0.01), group("none", 0.0, 0.0)]


def draw(pool, count, rng):
    return UniformSampler().draw(pool, count, rng, NOW)


def test_groups_that_teach_nothing_are_never_drawn():
    drawn = draw(POOL, 100, random.Random(0))
    assert sorted(g.publisher for g in drawn) == ["p0", "p1", "p2", "p3", "p4"]


def test_draws_are_uniform_and_without_repeats():
    rng = random.Random(1)
    counts = Counter()
    for _ in range(2000):
        drawn = [g.publisher for g in draw(POOL, 2, rng)]
        assert len(set(drawn)) == 2
        counts.update(drawn)
    assert all(700 < counts[f"p{n}"] < 900 for n in range(5)), counts


def test_too_few_candidates_give_what_there_is():
    assert draw(POOL[:1], 4, random.Random(0)) == POOL[:1]
    assert draw([], 4, random.Random(0)) == []


def test_the_same_seed_draws_the_same():
    assert [draw(POOL, 3, random.Random(7)) for _ in range(2)].count(draw(POOL, 3, random.Random(7))) == 2


def test_a_difference_below_what_records_can_carry_is_none():
    assert not group("g", 0.5, 0.5 + 1e-7).is_informative
    assert group("g", 0.5, 0.500001).is_informative


def test_a_group_can_teach_by_a_difference_or_by_being_right_throughout():
    assert group("g", 1.0, 1.0).can_teach
    assert not group("g", 0.5, 0.5).can_teach


def test_the_configuration_names_the_sampler_and_the_papers_is_the_default():
    assert isinstance(group_sampler(LearningConfig()), UniformSampler)
    assert group_sampler(LearningConfig(sampler="scored")) == ScoredSampler()


def test_rewards_that_no_judge_gave_teach_nothing_even_if_they_are_all_right():
    right = group("a", 1.0, 1.0)
    assert draw([right], 1, random.Random(0)) == [right]
    assert draw([replace(right, confidence=0.0)], 1, random.Random(0)) == []
