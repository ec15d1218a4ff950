"""How much is served to whom: buckets, floors, patience, and what a flood costs others."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmd.network.interface import Standing
from swarmd.network.rates import (
    FLOOR,
    FLOORS_MAX,
    GROUP,
    PATIENCE,
    PEER,
    STRANGERS,
    Admission,
    Buckets,
    Kind,
    Rate,
    Rates,
)


def served(rates: Rates, peer: str, seconds: float, per_second: float, **rest: object) -> int:
    """How many requests at an even pace are served."""
    fields = {"group": peer, "standing": Standing.STRANGER, "kind": Kind.FIND} | rest
    count = round(seconds * per_second)
    admissions = [
        rates.admit(peer, cost=1.0, now=1_000 + number / per_second, **fields)  # type: ignore[arg-type]
        for number in range(count)
    ]
    return admissions.count(Admission.YES)


@given(
    costs=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 20)), max_size=60),
    per_second=st.floats(0.1, 10),
    burst=st.floats(1, 30),
)
def test_a_bucket_gives_no_more_than_its_burst_and_what_flowed_in(
    costs: list[tuple[float, float]], per_second: float, burst: float
) -> None:
    buckets, now, given_out = Buckets(), 0.0, 0.0
    for pause, cost in costs:
        now += pause
        given_out += cost * buckets.take("one", Rate(per_second, burst), cost, now)
        assert given_out <= burst + per_second * now + 1e-6


def test_buckets_are_bounded_and_the_one_used_longest_ago_goes_first() -> None:
    buckets = Buckets(size_max=3)
    for name in "abcad":
        assert buckets.take(name, Rate(1, 1), 1.0, 0.0) == (name != "a" or len(buckets) < 3)
    assert len(buckets) == 3
    assert not buckets.take("a", Rate(1, 1), 1.0, 0.0)
    assert buckets.take("b", Rate(1, 1), 1.0, 0.0)


@pytest.mark.parametrize("kind", list(Kind))
def test_an_honest_peer_at_full_speed_is_never_refused(kind: Kind) -> None:
    """Half of a peer's own rate is above what gossip's limits let an honest one ask for."""
    pace = PEER[kind].per_second / 2
    assert served(Rates(), "honest", 600, pace, kind=kind) == round(600 * pace)


def test_a_peer_that_is_far_too_fast_floods_within_a_second() -> None:
    rates, number = Rates(), 0
    while (
        rates.admit("flooder", "group", Kind.FIND, 1.0, Standing.STRANGER, number / 487)
        is not Admission.FLOOD
    ):
        number += 1
    allowed = PEER[Kind.FIND].burst + PATIENCE.burst
    assert allowed <= number <= allowed * 1.3


def test_a_peer_that_is_a_little_too_fast_is_slowed_down_and_does_not_flood() -> None:
    rates = Rates()
    for number in range(2_000):
        admission = rates.admit("hasty", "group", Kind.FIND, 1.0, Standing.STRANGER, number / 43)
        assert admission is not Admission.FLOOD


def test_siblings_behind_one_connection_leave_an_honest_peer_beside_them_its_floor() -> None:
    rates = Rates()
    pace = FLOOR[Kind.FIND].per_second * 0.9
    for second in range(60):
        for number in range(50):
            for _ in range(30):
                rates.admit(f"sibling {number}", "shared", Kind.FIND, 1.0, Standing.MET, float(second))
        honest = [
            rates.admit("honest", "shared", Kind.FIND, 1.0, Standing.MET, float(second))
            for _ in range(round(pace))
        ]
        if second > 1:
            assert set(honest) == {Admission.YES}


def test_names_that_come_and_go_get_no_more_than_their_groups_bucket() -> None:
    rates, yes = Rates(), 0
    for number in range(20_000):
        admission = rates.admit(f"name {number}", "one", Kind.FIND, 1.0, Standing.MET, number / 2_000)
        yes += admission is Admission.YES
    assert yes <= GROUP[Kind.FIND].burst + 10 * GROUP[Kind.FIND].per_second + 1


def test_strangers_of_many_groups_are_bounded_together_and_known_peers_are_not_among_them() -> None:
    rates = Rates()
    names = [f"name {number}" for number in range(1_000)]
    for name in names:
        for _ in range(20):
            rates.admit(name, name, Kind.FIND, 1.0, Standing.STRANGER, 0.0)
    assert rates.admit("late", "late", Kind.FIND, 1.0, Standing.STRANGER, 0.0) is Admission.CROWDED
    assert rates.admit("friend", "late", Kind.FIND, 1.0, Standing.KNOWN, 0.0) is Admission.YES
    assert sum(bucket.burst for bucket in STRANGERS.values()) < 20_000


def test_things_set_aside_are_bounded_and_pass_on_from_the_idle() -> None:
    rates = Rates()
    for number in range(FLOORS_MAX + 10):
        rates.admit(f"name {number}", "one", Kind.PING, 1.0, Standing.MET, 0.0)
    assert len(rates._floored) == FLOORS_MAX
    rates.admit("late", "one", Kind.PING, 1.0, Standing.MET, 100.0)
    assert list(rates._floored) == ["late"]


def test_many_names_of_one_group_leave_floors_to_the_peers_of_others() -> None:
    rates = Rates()
    for second in range(1, 4):
        for number in range(FLOORS_MAX):
            rates.admit(f"name {number}", "attacker", Kind.FIND, 1.0, Standing.MET, float(second))
        for group in range(FLOORS_MAX // 2):
            rates.admit(f"honest {group}", f"group {group}", Kind.FIND, 1.0, Standing.MET, float(second))
        held = [name for name in rates._floored if name.startswith("honest")]
        assert len(held) == FLOORS_MAX // 2
    assert len(rates._floored) == FLOORS_MAX


def test_a_group_with_as_many_floors_as_the_others_takes_none_from_them() -> None:
    rates = Rates()
    for number in range(FLOORS_MAX):
        rates.admit(f"{number}", "even" if number % 2 else "odd", Kind.FIND, 1.0, Standing.MET, 0.0)
    rates.admit("late", "even", Kind.FIND, 1.0, Standing.MET, 0.0)
    assert "late" not in rates._floored
    assert len(rates._floored) == FLOORS_MAX


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(Kind), st.floats(0.1, 64), st.floats(0, 2)), max_size=200
    )
)
def test_the_tables_are_bounded_whatever_is_asked(requests: list[tuple[int, Kind, float, float]]) -> None:
    rates, now = Rates(), 0.0
    for peer, kind, cost, pause in requests:
        now += pause
        assert rates.admit(f"{peer}", "group", kind, cost, Standing(peer % 3 + 1), now) in Admission
    assert len(rates._peers) <= 6 * len(Kind)
