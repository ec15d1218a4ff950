"""What the scored sampler prefers, factor by factor, and what it never does."""

import dataclasses
import math
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.learning import DrawContext, ScoredSampler
from swarmd.learning.samplers import AGE_SCALE_S, LEARNABILITY_MIN
from tests.learning.candidates import NOW, TASK, group

INDIFFERENT = ScoredSampler(
    spread_power=0.0, learnability_min=1.0, age_scale_s=math.inf, surprisal_width=math.inf, peer_share_max=1.0
)


def weight(one, context=NOW):
    [found] = ScoredSampler().weights([one], context)
    return found


def knowing(**known):
    return dataclasses.replace(NOW, **known)


# One factor at a time -----------------------------------------------------------------------------


def test_wider_spread_rewards_weigh_more_and_partial_credit_next_to_nothing():
    half, one_of_four = group("p", 0, 0, 1, 1), group("p", 0, 0, 0, 1)
    crumbs = group("p", 0.0, 0.01, 0.0, 0.01)
    assert weight(half) > weight(one_of_four) > 50 * weight(crumbs) > 0
    assert weight(group("p", 0.3, 0.3)) == 0


def test_a_group_weighs_as_much_as_its_judges_are_sure_of_it():
    sure = group("p", 0, 1)
    assert weight(dataclasses.replace(sure, confidence=0.25)) == pytest.approx(weight(sure) / 4)
    assert weight(dataclasses.replace(sure, confidence=0.0)) == 0


@pytest.mark.parametrize(("nearer", "farther"), [(0.5, 0.3), (0.5, 0.8), (0.2, 0.1), (0.7, 0.9)])
def test_the_half_solved_family_weighs_most(nearer, farther):
    one = group("p", 0, 1)
    assert weight(one, knowing(success={TASK: nearer})) > weight(one, knowing(success={TASK: farther}))


def test_a_family_that_is_never_solved_here_is_still_drawn_and_an_unknown_one_is_tried():
    one = group("p", 0, 1)
    assert weight(one, knowing(success={TASK: 0.0})) == pytest.approx(LEARNABILITY_MIN * weight(one))
    assert weight(one) == weight(one, knowing(success={TASK: 0.5}))


def test_weight_decays_with_age_and_a_round_ahead_of_ours_is_new():
    new, old, ahead = group("p", 0, 1), group("p", 0, 1, round_=90), group("p", 0, 1, round_=101)
    assert weight(old) == pytest.approx(weight(new) * math.exp(-10 * 30 / AGE_SCALE_S))
    assert weight(ahead) == weight(new)


def test_text_as_surprising_as_our_own_weighs_most():
    one = group("p", 0, 1)

    def at(surprisal):
        return weight(one, knowing(own_surprisal=0.8, surprisal={"p": surprisal}))

    assert at(0.8) == weight(one)
    assert at(0.8) > at(1.0) > at(2.0) > 0
    assert at(0.8) > at(0.6)
    assert weight(one, knowing(surprisal={"p": 9.0})) == weight(one), "nothing to compare with"
    assert weight(one, knowing(own_surprisal=9.0)) == weight(one)


def test_trust_is_a_factor_and_the_ignored_are_not_drawn():
    one = group("p", 0, 1)
    assert weight(one, knowing(trust={"p": 0.25})) == weight(one) / 4
    ignored = knowing(trust={"p": 0.0})
    assert ScoredSampler().draw([one], 1, random.Random(0), ignored) == []


def test_groups_of_one_question_share_the_weight_of_one():
    alike = [group(f"p{n}", 0, 1, question="1+1?") for n in range(3)]
    other_family = group("p", 0, 1, question="1+1?", task_id=bytes([1]) * 16)
    flat = group("p", 1, 1, question="1+1?")
    *shares, alone, nothing = ScoredSampler().weights([*alike, other_family, flat], NOW)
    assert shares == [pytest.approx(alone / 3)] * 3
    assert nothing == 0


def test_a_peer_that_repeats_anothers_question_halves_its_weight_once_and_shares_the_rest_with_itself():
    honest = group("honest", 0, 1, question="1+1?")
    copies = [group("loud", 0, 1, question="1+1?", number=n) for n in range(9)]
    alone = weight(honest)
    kept, *shares = ScoredSampler().weights([honest, *copies], NOW)
    assert kept == pytest.approx(alone / 2)
    assert shares == [pytest.approx(alone / 2 / 9)] * 9


def test_peers_that_are_trusted_less_take_less_of_a_question_and_the_ignored_nothing():
    honest, copy = group("honest", 0, 1, question="1+1?"), group("other", 0, 1, question="1+1?")

    def kept(trust):
        return ScoredSampler().weights([honest, copy], knowing(trust={"other": trust}))[0]

    assert kept(0.0) == weight(honest) > kept(0.5) > kept(1.0) == pytest.approx(weight(honest) / 2)


@given(
    copies=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), st.integers(1, 9), max_size=4),
    seed=st.integers(0, 99),
)
def test_n_identities_leave_an_honest_group_one_part_of_n_plus_one_however_often_they_copy(copies, seed):
    pool = [group("honest", 0, 1, question="q")]
    pool += [
        group(peer, 0, 1, question="q", number=n) for peer, times in copies.items() for n in range(times)
    ]
    random.Random(seed).shuffle(pool)
    weights = ScoredSampler().weights(pool, NOW)
    [honest] = [w for one, w in zip(pool, weights, strict=True) if one.publisher == "honest"]
    assert honest == pytest.approx(sum(weights) / (1 + len(copies)))


# The draw -----------------------------------------------------------------------------------------

rewards = st.lists(st.sampled_from([0.0, 0.01, 0.5, 1.0]), min_size=2, max_size=8)
pools = st.lists(st.tuples(st.integers(0, 6), rewards, st.integers(60, 102)), max_size=30).map(
    lambda drawn: [
        group(f"p{peer}", *values, round_=round_, number=index)
        for index, (peer, values, round_) in enumerate(drawn)
    ]
)
contexts = st.builds(
    DrawContext,
    round=st.just(100),
    round_seconds=st.sampled_from([1.0, 30.0]),
    success=st.dictionaries(st.just(TASK), st.floats(0, 1)),
    own_surprisal=st.none() | st.floats(0, 6),
    surprisal=st.dictionaries(st.sampled_from(["p0", "p1", "p2"]), st.floats(0, 50)),
    trust=st.dictionaries(st.sampled_from(["p0", "p1"]), st.floats(0, 1)),
)


@given(pool=pools, count=st.integers(0, 12), seed=st.integers(0, 99), context=contexts)
def test_whatever_the_pool(pool, count, seed, context):
    drawn = ScoredSampler().draw(pool, count, random.Random(seed), context)
    assert len(drawn) <= count
    assert len({id(one) for one in drawn}) == len(drawn), "none twice"
    assert all(one.is_informative for one in drawn)
    eligible = {
        one.publisher
        for one, chance in zip(pool, ScoredSampler().weights(pool, context), strict=True)
        if chance
    }
    most = max(1, count // 4, math.ceil(count / len(eligible)) if eligible else 0)
    by_peer = Counter(one.publisher for one in drawn)
    assert all(number <= most for number in by_peer.values())
    if count:
        assert set(by_peer) <= eligible
        assert bool(drawn) == bool(eligible)
    assert ScoredSampler().draw(pool, count, random.Random(seed), context) == drawn, "the seed decides"


def test_a_peer_with_many_groups_gets_a_quarter_of_the_draw():
    pool = [group("loud", 0, 1, number=n) for n in range(100)]
    pool += [group(f"p{n}", 0, 1, number=k) for n in range(3) for k in range(4)]
    drawn = ScoredSampler().draw(pool, 8, random.Random(3), NOW)
    assert Counter(one.publisher for one in drawn) == {"loud": 2, "p0": 2, "p1": 2, "p2": 2}


def test_an_only_neighbour_may_fill_the_draw():
    pool = [group("neighbour", 0, 1, number=n) for n in range(9)]
    assert len(ScoredSampler().draw(pool, 4, random.Random(3), NOW)) == 4


def test_draws_follow_the_weights():
    pool = [group("new", 0, 1), group("old", 0, 1, round_=97)]
    rng = random.Random(5)
    first = Counter(ScoredSampler().draw(pool, 1, rng, NOW)[0].publisher for _ in range(4000))
    expected = 4000 / (1 + math.exp(-90 / AGE_SCALE_S))
    assert abs(first["new"] - expected) < 4 * math.sqrt(4000 * 0.25)


def test_without_preferences_it_is_uniform():
    pool = [group(f"p{n}", 0, *[1] * (n + 1), round_=80 + n) for n in range(5)] + [group("flat", 1, 1)]
    context = knowing(success={TASK: 0.1}, own_surprisal=1.0, surprisal={"p0": 9.0})
    rng = random.Random(1)
    counts = Counter(one.publisher for _ in range(2000) for one in INDIFFERENT.draw(pool, 2, rng, context))
    assert all(700 < counts[f"p{n}"] < 900 for n in range(5)), counts
    assert counts["flat"] == 0
