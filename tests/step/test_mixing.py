"""How many own groups and groups of others a step wants, by what the peer has measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.config import LearningConfig
from swarmd.groups import ScoredGroup
from swarmd.step.mixing import RARE_SHARE, GroupCosts, Mix, choose_mix, largest_mix
from tests.daemon.fakes import external_group

MEASURED = LearningConfig(local=4, external=4, mix="measured")
DEAR, CHEAP = GroupCosts(own_s=1.0, external_s=10.0), GroupCosts(own_s=1.0, external_s=0.1)


def groups(teaching: int, silent: int = 0) -> list[ScoredGroup]:
    one = external_group(0, publisher="me")
    return [one] * teaching + [replace(one, completions=one.completions[:1])] * silent


def test_without_a_fill_a_step_wants_all_the_groups_of_others() -> None:
    assert Mix(4, 4).wanted(groups(teaching=4)) == 4


@pytest.mark.parametrize(("teaching", "wanted"), [(0, 6), (1, 6), (3, 5), (8, 0), (10, 0)])
def test_with_a_fill_it_wants_what_is_missing_and_no_more_than_external(teaching, wanted) -> None:
    assert Mix(10, 6, fill=8).wanted(groups(teaching, silent=10 - teaching)) == wanted


@given(st.floats(0, 1), st.sampled_from([None, DEAR, CHEAP]))
def test_a_fixed_mix_is_what_the_settings_say(share, costs) -> None:
    config = LearningConfig(local=3, external=5, external_fill=7)
    assert choose_mix(config, share, costs) == Mix(3, 5, 7) == largest_mix(config)


def test_a_peer_that_knows_nothing_yet_starts_with_its_settings() -> None:
    assert choose_mix(MEASURED) == Mix(4, 4)


def test_where_own_groups_seldom_teach_it_makes_more_and_fills_the_step() -> None:
    assert choose_mix(MEASURED, RARE_SHARE - 0.01) == Mix(8, 8, fill=8)
    assert choose_mix(MEASURED, RARE_SHARE) == Mix(4, 4)


def test_where_groups_of_others_cost_more_than_own_that_teach_it_makes_its_own() -> None:
    assert choose_mix(MEASURED, 0.5, DEAR) == Mix(8, 0)
    assert choose_mix(MEASURED, 0.5, CHEAP) == Mix(4, 4)
    assert choose_mix(MEASURED, 0.01, DEAR) == Mix(8, 8, fill=8), "own groups that teach are dear too"


def test_who_learns_alone_is_not_told_to_share() -> None:
    alone = LearningConfig(local=4, external=0, mix="measured")
    assert choose_mix(alone, 0.0) == Mix(4, 0) == largest_mix(alone)


@given(st.integers(1, 64), st.integers(0, 64), st.none() | st.floats(0, 1), st.sampled_from([None, DEAR]))
def test_no_step_wants_more_than_memory_was_planned_for(local, external, share, costs) -> None:
    config = LearningConfig(local=local, external=external, mix="measured")
    mix, most = choose_mix(config, share, costs), largest_mix(config)
    assert mix.local <= most.local
    assert mix.external <= most.external
