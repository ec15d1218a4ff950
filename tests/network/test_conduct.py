"""Whom the transport shuns, for how long, and what it forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from protocol import PeerId
from swarmd.network.conduct import HALF_LIFE_S, PEERS_MAX, SHUN_S, SHUN_S_MAX, Conduct
from swarmd.network.interface import Misbehaviour

PEER, OTHER = PeerId("peer"), PeerId("other")


def conduct_of() -> tuple[Conduct, list[tuple[PeerId, Misbehaviour]]]:
    told: list[tuple[PeerId, Misbehaviour]] = []
    return Conduct(lambda peer, what: told.append((peer, what))), told


def test_a_flood_is_reported_once_and_shunned() -> None:
    conduct, told = conduct_of()
    for _ in range(5):
        conduct.offend(PEER, Misbehaviour.FLOOD, 1.0, 0.0)
    assert told == [(PEER, Misbehaviour.FLOOD)]
    assert conduct.is_shunned(PEER, SHUN_S - 1)
    assert not conduct.is_shunned(PEER, SHUN_S)
    assert not conduct.is_shunned(OTHER, 0.0)
    assert conduct.shunned(1.0) == (PEER,)


def test_every_relapse_lasts_twice_as_long_up_to_a_bound() -> None:
    conduct, told = conduct_of()
    now = 0.0
    for time in range(12):
        conduct.offend(PEER, Misbehaviour.FLOOD, 1.0, now)
        lasts = min(SHUN_S * 2**time, SHUN_S_MAX)
        assert conduct.is_shunned(PEER, now + lasts - 1)
        now += lasts
        assert not conduct.is_shunned(PEER, now)
    assert len(told) == 12


def test_lies_few_and_far_between_are_forgotten() -> None:
    conduct, told = conduct_of()
    for number in range(20):
        conduct.offend(PEER, Misbehaviour.LIES, 3.0, number * HALF_LIFE_S)
    assert told == []
    for _ in range(2):
        conduct.offend(PEER, Misbehaviour.LIES, 3.0, 20 * HALF_LIFE_S)
    assert told == [(PEER, Misbehaviour.LIES)]


def test_a_peer_that_stores_something_in_between_does_not_keep_refusing() -> None:
    conduct, told = conduct_of()
    for number in range(100):
        conduct.offend(PEER, Misbehaviour.REFUSES, 1.0, 0.0)
        conduct.offend(OTHER, Misbehaviour.REFUSES, 1.0, 0.0)
        if number % 10 == 0:
            conduct.redeem(PEER, Misbehaviour.REFUSES)
    assert told == [(OTHER, Misbehaviour.REFUSES)]
    conduct.redeem(PeerId("never seen"), Misbehaviour.REFUSES)


def test_a_crowd_of_names_does_not_displace_the_shunned() -> None:
    conduct, _ = conduct_of()
    conduct.offend(PEER, Misbehaviour.FLOOD, 1.0, 0.0)
    for number in range(PEERS_MAX + 10):
        conduct.offend(PeerId(f"name {number}"), Misbehaviour.LIES, 1.0, 0.0)
    assert conduct.is_shunned(PEER, 1.0)
    assert len(conduct._records) == PEERS_MAX


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(Misbehaviour), st.floats(0, 20), st.floats(0, 100))
    )
)
def test_a_reported_peer_is_shunned_from_then_on(
    offences: list[tuple[str, Misbehaviour, float, float]],
) -> None:
    conduct, told = conduct_of()
    now = 0.0
    for peer, what, points, pause in offences:
        now += pause
        before = len(told)
        conduct.offend(PeerId(peer), what, points, now)
        assert len(told) - before <= 1
        for one, _ in told[before:]:
            assert conduct.is_shunned(one, now)
