"""Penalties decay, ignoring ends, relapses cost more, and strangers cannot push out the ignored."""

from __future__ import annotations

import pytest

from protocol import Reason
from swarmd.gossip import GossipLimits
from swarmd.gossip.reputation import ABSENT, PAUSED, UNREACHABLE, Reputation
from tests.gossip.making import START, key

PEER, OTHER = key(1).peer_id, key(2).peer_id
LIE = Reason.QUESTION


def test_two_forgeries_in_a_row_are_enough_two_far_apart_are_not():
    strict = Reputation(GossipLimits())
    assert not strict.penalise(PEER, LIE, START)
    assert strict.penalise(PEER, LIE, START)
    patient = Reputation(GossipLimits())
    patient.penalise(PEER, LIE, START)
    assert not patient.penalise(PEER, LIE, START + 1200)


def test_ignoring_ends_and_doubles_with_each_relapse_up_to_an_hour():
    limits = GossipLimits()
    reputation = Reputation(limits)
    now, spans = START, []
    for _ in range(6):
        while not reputation.penalise(PEER, LIE, now):
            pass
        until = next(s for s in range(0, 4000, 10) if not reputation.is_ignored(PEER, now + s))
        spans.append(until)
        now += until
    assert spans == [300, 600, 1200, 2400, 3600, 3600]


def test_a_peer_that_is_banned_meanwhile_is_not_forgiven():
    reputation = Reputation(GossipLimits())
    for peer in (PEER, OTHER):
        while not reputation.penalise(peer, LIE, START):
            pass
    reputation.ban(PEER)
    assert reputation.forgiven(START + 400) == [OTHER]
    reputation.forget(PEER)
    assert reputation.forgiven(START + 401) == [], "its conduct was forgiven long ago"


def test_what_is_useful_makes_up_for_a_failure():
    reputation = Reputation(GossipLimits())
    for _ in range(50):
        assert not reputation.penalise(PEER, ABSENT, START)
        for _ in range(3):
            reputation.credit(PEER, START)


@pytest.mark.parametrize("reason", [UNREACHABLE, PAUSED])
def test_no_outage_costs_a_point_theirs_or_ours(reason: str):
    reputation = Reputation(GossipLimits())
    for _ in range(50):
        assert not reputation.penalise(PEER, reason, START)
    assert reputation.trust(PEER, START) == 1
    assert reputation.reasons(PEER) == {}


def test_a_crowd_of_new_names_does_not_wash_the_ignored_clean():
    reputation = Reputation(GossipLimits(peers_judged_max=8))
    for _ in range(2):
        reputation.penalise(PEER, LIE, START)
    for number in range(2, 100):
        reputation.penalise(key(number).peer_id, ABSENT, START)
    assert reputation.is_ignored(PEER, START)
    assert [ignored.peer_id for ignored in reputation.ignored(START)] == [PEER]


def test_while_a_peer_is_ignored_nothing_is_added():
    reputation = Reputation(GossipLimits())
    for _ in range(10):
        reputation.penalise(PEER, LIE, START)
    assert not reputation.is_ignored(PEER, START + 301)


def test_trust_falls_with_penalties_is_nothing_while_ignored_and_comes_back():
    limits = GossipLimits()
    reputation = Reputation(limits)
    assert reputation.trust(PEER, START) == 1
    reputation.penalise(PEER, LIE, START)
    assert reputation.trust(PEER, START) == 0.5
    assert reputation.trust(PEER, START + limits.penalty_half_life_s) == 0.75
    reputation.penalise(PEER, LIE, START)
    assert reputation.trust(PEER, START) == 0
    assert 0 < reputation.trust(PEER, START + limits.ignore_s) < 1, "on probation"
    assert reputation.trust(key(9).peer_id, START) == 1, "nothing is held against the unknown"
