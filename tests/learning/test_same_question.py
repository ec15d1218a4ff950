"""Answers of several peers to one question: what XGRPO, SGT and HACPO make of them."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from swarmd.config import LearningConfig
from swarmd.learning import Trainer
from swarmd.learning.advantages import group_advantages
from swarmd.learning.same_question import Hacpo, Sgt, Xgrpo, same_question
from tests.learning.candidates import group

REWARDS = st.lists(st.sampled_from([0.0, 0.01, 1.0]), min_size=4, max_size=4)
NOBODY = {}


def mine(*rewards, question="q"):
    return replace(group("me", *rewards, question=question), external=False)


def others(publisher, *rewards, question="q"):
    return group(publisher, *rewards, question=question)


def advantages(rule, own, external, capability=NOBODY):
    compared = rule([own], external, capability)
    return [compared.advantages(each).tolist() for each in (own, *compared.external)]


def of_all(rewards):
    return group_advantages(torch.tensor(rewards, dtype=torch.float64)).tolist()


# XGRPO --------------------------------------------------------------------------------------------


def test_xgrpo_compares_own_answers_with_everybodys_and_trains_on_no_others():
    own, other = mine(0.0, 1.0), others("a", 1.0, 1.0)
    assert advantages(Xgrpo(others=1), own, [other]) == [of_all([0.0, 1.0, 1.0, 1.0])[:2]]


def test_xgrpo_pushes_away_from_what_failed_where_others_succeeded():
    [found] = advantages(Xgrpo(others=1), mine(0.0, 0.0), [others("a", 1.0, 0.0)])
    assert found[0] == found[1] < 0


def test_xgrpo_counts_who_was_asked_and_sent_nothing_as_wrong():
    [found] = advantages(Xgrpo(others=2), mine(1.0, 1.0), [others("a", 1.0, 1.0)])
    assert found == pytest.approx(of_all([1.0, 1.0, 1.0, 1.0, 0.0, 0.0])[:2])


@given(REWARDS)
def test_xgrpo_alone_is_grpo(rewards):
    [found] = advantages(Xgrpo(others=0), mine(*rewards), [])
    assert found == of_all(rewards)


# SGT ----------------------------------------------------------------------------------------------


def test_sgt_takes_others_right_answers_only_where_all_own_ones_failed():
    failed, solved = mine(0.0, 0.01, question="failed"), mine(0.0, 1.0, question="solved")
    external = [others("a", 1.0, 0.0, question="failed"), others("a", 1.0, 0.0, question="solved")]
    compared = Sgt()([failed, solved], external, NOBODY)
    assert [(each.question, each.rewards) for each in compared.external] == [("failed", (1.0,))]


def test_sgt_takes_nothing_where_one_of_two_own_groups_of_a_question_was_right():
    own = [mine(0.0, 0.0), mine(1.0, 0.0), mine(0.0, 0.0, question="failed")]
    external = [others("a", 1.0, 1.0), others("a", 1.0, 1.0, question="failed")]
    compared = Sgt()(own, external, NOBODY)
    assert [each.question for each in compared.external] == ["failed"]
    assert compared.advantages(compared.external[0]).tolist() == [1 / 2] * 2, "one of two questions failed"


@given(REWARDS)
def test_sgt_leaves_own_groups_as_they_are(rewards):
    own = mine(*rewards)
    compared = Sgt()([own], [others("a", 1.0, 1.0)], NOBODY)
    assert compared.advantages(own).tolist() == of_all(rewards)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_sgt_gives_each_failed_question_the_same_weight_however_many_are_right(counts):
    own = [mine(0.0, 0.0, question=str(n)) for n in range(len(counts))] + [mine(1.0, 0.0, question="solved")]
    external = [others("a", *[1.0] * count, question=str(n)) for n, count in enumerate(counts)]
    compared = Sgt()(own, external, NOBODY)
    answers = sum(counts)  # of equal length: a step's loss is the mean over them
    by_question = [compared.advantages(each).sum().item() / answers for each in compared.external]
    assert by_question == pytest.approx([1 / len(own)] * len(counts))


# HACPO --------------------------------------------------------------------------------------------


def test_hacpo_among_equals_has_one_baseline_for_everybody():
    own, other = mine(0.0, 1.0), others("a", 1.0, 1.0)
    found = advantages(Hacpo(others=1), own, [other], {"me": 0.5, "a": 0.5})
    pooled = of_all([0.0, 1.0, 1.0, 1.0])
    assert found == [pytest.approx(pooled[:2]), pytest.approx(pooled[2:])]


def test_hacpo_by_hand():
    # P(me) / P(a) = 1/2: m = (0 + 1 + 1/2 + 0) / 4 = 3/8, std of (0, 1, 1, 0) = sqrt(1/3)
    own, other = mine(0.0, 1.0), others("a", 1.0, 0.0)
    found = advantages(Hacpo(others=1), own, [other], {"me": 0.25, "a": 0.5})
    unit = 3**0.5
    expected = [[-3 / 8 * unit, 5 / 8 * unit], [2 * 5 / 8 * unit, -2 * 3 / 8 * unit]]
    assert found == [pytest.approx(each, rel=1e-3) for each in expected]


@given(st.floats(0, 1), st.floats(0, 1), REWARDS, REWARDS)
def test_hacpo_never_multiplies_by_more_than_ten(mine_lately, theirs, own_rewards, other_rewards):
    own, other = mine(*own_rewards), others("a", *other_rewards)
    found = advantages(Hacpo(others=1), own, [other], {"me": mine_lately, "a": theirs})
    if len({*own_rewards, *other_rewards}) == 1:
        assert found == [[0.0] * 4, [0.0] * 4], "equal rewards teach nothing, whoever is how able"
    else:
        deviation = torch.tensor([*own_rewards, *other_rewards], dtype=torch.float64).std().item()
        assert max(map(abs, found[0])) <= 1 / deviation
        assert max(map(abs, found[1])) <= 10 / deviation


def test_hacpo_falls_back_on_own_success_where_the_baseline_would_be_out_of_reach():
    own, other = mine(0.0, 1.0), others("a", 1.0, 1.0)
    [found, _] = advantages(Hacpo(others=1), own, [other], {"me": 1.0, "a": 0.1})
    assert found == pytest.approx([-1.0, 1.0], rel=1e-3)  # (R - 1/2) / (1/2)


# All ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [Xgrpo(1), Sgt(), Hacpo(1)])
def test_groups_of_another_question_teach_nothing(rule):
    own = mine(0.0, 0.0)
    compared = rule([own], [others("a", 1.0, 0.0, question="another")], NOBODY)
    assert list(compared.external) == []
    assert compared.advantages(own).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("name", ["xgrpo", "sgt", "hacpo"])
def test_a_step_trains_by_each_rule(make_policy, own_groups, external_group, name):
    policy = make_policy()
    config = LearningConfig(
        local=1, external=1, external_baseline=name, external_tokens="all", warmup_steps=0
    )
    own = own_groups(policy, ["2+2?"], lambda text: 0.0)
    right = external_group("2+2?", ("<answer>4</answer>", 1.0), ("<answer>5</answer>", 0.0))
    metrics = Trainer(policy, config).step(own, [right], capability={"me": 0.1, "other": 0.1})
    assert metrics.updated
    assert metrics.groups_own_used == (name != "sgt")
    assert metrics.groups_external_used == (name != "xgrpo")


def test_the_configuration_names_each_of_them():
    chosen = {"xgrpo": Xgrpo(7), "sgt": Sgt(), "hacpo": Hacpo(7), "shared": None, "group": None}
    for name, rule in chosen.items():
        assert same_question(LearningConfig(local=4, external=28, external_baseline=name)) == rule


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"external": 7}, "not a multiple of local"),
        ({"algorithm": "dr_grpo"}, "grpo or gspo"),
        ({"needed_questions": 0.5}, "needed_questions"),
        ({"rehearse": 1}, "rehearse"),
        ({"mix": "measured"}, "mix"),
        ({"external_fill": 28}, "external_fill"),
        ({"sampler": "scored"}, "sampler"),
        ({"sampler": "need"}, "sampler"),
    ],
)
@pytest.mark.parametrize("rule", ["xgrpo", "sgt", "hacpo"])
def test_what_keeps_nodes_from_the_same_questions_or_groups_is_refused(rule, given, named):
    with pytest.raises(ValidationError, match=named):
        LearningConfig.model_validate({"local": 4, "external": 28, "external_baseline": rule} | given)
