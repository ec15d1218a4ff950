"""What a group did: the change of its family, less what the step did to everything, shared alike."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import person_model
from swarmd.groups import ScoredGroup
from swarmd.step.credit import NATS_MAX, Gain, gains
from tests.daemon.fakes import external_group

SUMS, GCD, OTHER = (bytes([n]) * 16 for n in range(3))


def group(publisher: str, task: bytes, model: str = "other", *, external: bool = True) -> ScoredGroup:
    return replace(external_group(1, publisher=publisher), task_id=task, model=model, external=external)


def test_a_group_alone_in_its_family_gets_its_change_less_the_drift() -> None:
    found = gains({SUMS: -3.0, OTHER: -5.0}, {SUMS: -2.5, OTHER: -4.9}, [], [group("a", SUMS)])
    assert found == [Gain("a", False, pytest.approx(0.4))]


def test_groups_of_one_family_share_alike_and_this_peers_own_takes_its_part() -> None:
    own, drawn = [group("me", SUMS, external=False)], [group("a", SUMS), group("b", SUMS)]
    found = gains({SUMS: -3.0}, {SUMS: -2.4}, own, drawn)
    assert found == [Gain("a", False, pytest.approx(0.2)), Gain("b", False, pytest.approx(0.2))]


def test_an_own_group_that_teaches_nothing_takes_no_part() -> None:
    own = group("me", SUMS, external=False)
    idle = replace(own, completions=(own.completions[0],) * 2)
    assert gains({SUMS: -3.0}, {SUMS: -2.4}, [idle], [group("a", SUMS)])[0].nats == pytest.approx(0.6)


def test_each_family_is_credited_on_its_own_and_harm_is_negative() -> None:
    drawn = [group("a", SUMS), group("b", GCD)]
    found = gains({SUMS: -3.0, GCD: -3.0}, {SUMS: -2.8, GCD: -3.5}, [], drawn)
    assert [gain.nats for gain in found] == [pytest.approx(0.2), pytest.approx(-0.5)]


def test_a_persons_group_is_told_apart() -> None:
    drawn = [group("a", SUMS, person_model("Ann")), group("a", GCD)]
    assert [gain.people for gain in gains({SUMS: 0.0, GCD: 0.0}, {SUMS: 0.0, GCD: 0.0}, [], drawn)] == [
        True, False
    ]  # fmt: skip


@pytest.mark.parametrize("after", [math.nan, math.inf, -math.inf])
def test_what_overflowed_or_was_not_measured_is_nobodys_credit(after: float) -> None:
    assert gains({SUMS: -3.0}, {SUMS: after}, [], [group("a", SUMS), group("b", GCD)]) == []


@given(st.floats(-1e6, 0), st.floats(-1e6, 0), st.integers(1, 6))
def test_more_groups_of_a_publisher_in_a_step_never_raise_their_mean(
    before: float, after: float, count: int
) -> None:
    one = gains({SUMS: before}, {SUMS: after}, [], [group("a", SUMS)])[0].nats
    many = [gain.nats for gain in gains({SUMS: before}, {SUMS: after}, [], [group("a", SUMS)] * count)]
    assert all(abs(nats) <= abs(one) <= NATS_MAX for nats in many)
    assert len(many) == count
