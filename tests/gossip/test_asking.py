"""Full statuses: whom a peer asks, how often, what it believes, and what it says itself."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

from protocol import (
    USED_MAX,
    Credit,
    CreditStatus,
    FullStatus,
    KeyPair,
    PeerId,
    PeerStatus,
    Used,
    sign_credit_status,
    sign_full_status,
    verify_full_status,
    verify_status,
)
from swarmd import gossip as g
from swarmd.gossip.limits import GossipLimits
from tests.gossip.making import START, key, make_manifest, make_own_status, make_status

MANIFEST = make_manifest()
SWARM = MANIFEST.swarm_id
LIMITS = GossipLimits()
OWN, OTHER, THIRD = key(0), key(1), key(2)
AT = "/ip4/10.0.0.1/tcp/4001"


def machine() -> g.Gossip:
    return g.Gossip(key=OWN, manifest=MANIFEST, rng=random.Random(1))


def full(signer: KeyPair, now: float, *used: tuple[KeyPair, int]) -> bytes:
    plain = verify_status(make_status(MANIFEST, signer, now), swarm=SWARM, now=now).status
    uses = tuple(Used(publisher=publisher.peer_id, groups=groups) for publisher, groups in used)
    return sign_full_status(signer, FullStatus(**dict(plain), used=uses))


def asked(gossip: g.Gossip, now: float, *connected: KeyPair) -> list[PeerId]:
    tick = g.Tick(len(connected), True, {one.peer_id: AT for one in connected})
    return [command.peer for command in gossip.handle(tick, now) if isinstance(command, g.AskStatus)]


def claims(commands: list[g.Command]) -> list[g.RememberClaim]:
    return [command for command in commands if isinstance(command, g.RememberClaim)]


def test_connected_peers_are_asked_one_after_the_other_and_each_once_a_minute() -> None:
    gossip, now, order = machine(), START, []
    while now < START + 2 * LIMITS.ask_peer_interval_s:
        for peer in asked(gossip, now, OTHER, THIRD):
            order.append((now - START, peer))
            signer = OTHER if peer == OTHER.peer_id else THIRD
            gossip.handle(g.FullStatusRead(peer, full(signer, now)), now)
        now += 1
    assert len(order) == 4
    assert (
        {peer for _, peer in order[:2]} == {peer for _, peer in order[2:]} == {OTHER.peer_id, THIRD.peer_id}
    )
    assert order[1][0] - order[0][0] >= LIMITS.ask_interval_s
    assert order[2][0] - order[0][0] >= LIMITS.ask_peer_interval_s


def test_of_many_connected_peers_fewer_are_asked_in_a_minute() -> None:
    gossip, now, order = machine(), START, []
    many = [key(number) for number in range(10, 100)]
    while now < START + 20 * LIMITS.ask_interval_s_max:
        for peer in asked(gossip, now, *many):
            order.append(now)
            gossip.handle(g.FullStatusRead(peer, None), now)
        now += 1
    assert {later - earlier for earlier, later in pairwise(order)} == {LIMITS.ask_interval_s_max}


def test_only_connected_peers_are_asked_and_one_question_is_open_at_a_time() -> None:
    gossip = machine()
    gossip.handle(g.StatusesRead((make_status(MANIFEST, OTHER, START),)), START)
    assert asked(gossip, START) == []
    assert len(asked(gossip, START + 1, OTHER, THIRD)) == 1
    assert asked(gossip, START + 5, OTHER, THIRD) == []


def test_a_peer_of_an_older_version_is_asked_ever_more_seldom_and_a_newcomer_soon_again() -> None:
    gossip, now, times = machine(), START, []
    while now < START + 4_000:
        if asked(gossip, now, OTHER):
            times.append(now)
            gossip.handle(g.FullStatusRead(OTHER.peer_id, None), now)
        now += 5
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[:4] == [60, 120, 240, 480]
    assert set(pauses[4:]) == {LIMITS.unanswered_s}
    assert gossip.statistics().junk == {}


def test_an_answer_ends_the_longer_pauses() -> None:
    gossip = machine()
    for now in (START, START + 60):
        assert asked(gossip, now, OTHER) == [OTHER.peer_id]
        gossip.handle(g.FullStatusRead(OTHER.peer_id, None), now)
    assert asked(gossip, START + 180, OTHER) == [OTHER.peer_id]
    gossip.handle(g.FullStatusRead(OTHER.peer_id, full(OTHER, START + 180)), START + 180)
    assert asked(gossip, START + 240, OTHER) == [OTHER.peer_id]


def test_what_a_peer_says_that_it_used_of_ours_is_for_the_database_and_all_of_it_for_people() -> None:
    gossip = machine()
    gossip.handle(g.StatusesRead((make_status(MANIFEST, OTHER, START),)), START)
    answer = full(OTHER, START, (OWN, 9), (THIRD, 4))
    assert claims(gossip.handle(g.FullStatusRead(OTHER.peer_id, answer), START)) == [
        g.RememberClaim(OTHER.peer_id, 9)
    ]
    [view] = gossip.statistics().peers
    assert view.used == {OWN.peer_id: 9, THIRD.peer_id: 4}


def test_what_a_peer_says_that_our_groups_did_for_it_is_for_the_database() -> None:
    gossip = machine()
    status = verify_full_status(
        full(OTHER, START, (OWN, 9)), swarm=SWARM, now=START, publisher=OTHER.peer_id
    ).status
    given = (
        Credit(publisher=OWN.peer_id, people=True, groups=3, gain_milli=41),
        Credit(publisher=THIRD.peer_id, people=False, groups=7, gain_milli=-2),
    )
    envelope = sign_credit_status(OTHER, CreditStatus(**dict(status), credits=given))
    assert gossip.handle(g.FullStatusRead(OTHER.peer_id, envelope), START)[:2] == [
        g.RememberClaim(OTHER.peer_id, 9),
        g.RememberCredit(OTHER.peer_id, people=True, groups=3, gain_milli=41),
    ]


def test_what_was_measured_of_others_is_told_beside_the_status_of_version_2() -> None:
    gossip = machine()
    credit = Credit(publisher=OTHER.peer_id, people=False, groups=2, gain_milli=5)
    own = replace(make_own_status(OWN), used={OTHER.peer_id: 4}, credits=(credit,))
    gossip.handle(own, START)
    [told] = [c for c in gossip.handle(g.Tick(0), START) if isinstance(c, g.TellStatus)]
    assert told.with_credits is not None
    plain, full_one = (
        verify_full_status(envelope, swarm=SWARM, now=START, publisher=OWN.peer_id).status
        for envelope in (told.envelope, told.with_credits)
    )
    assert not isinstance(plain, CreditStatus)
    assert isinstance(full_one, CreditStatus)
    assert (full_one.credits, full_one.used) == ((credit,), plain.used)


def test_a_full_status_of_another_peer_or_no_status_at_all_is_junk() -> None:
    gossip = machine()
    for envelope in (full(THIRD, START, (OWN, 9)), b"", make_status(MANIFEST, OTHER, START)):
        assert claims(gossip.handle(g.FullStatusRead(OTHER.peer_id, envelope), START)) == []
    assert gossip.statistics().junk == {"publisher": 1, "envelope": 1, "payload_type": 1}


def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    gossip = machine()
    gossip.handle(g.FullStatusRead(OTHER.peer_id, full(OTHER, START, (OWN, 9))), START)
    old = full(OTHER, START - 60, (OWN, 1))
    assert claims(gossip.handle(g.FullStatusRead(OTHER.peer_id, old), START)) == []


def test_both_versions_of_the_own_status_are_told_and_the_most_used_publishers_named() -> None:
    gossip = machine()
    used = {key(n).peer_id: n for n in range(1, USED_MAX + 9)}
    gossip.handle(replace(make_own_status(OWN), used=used), START)
    commands = gossip.handle(g.Tick(1), START)
    [told] = [command.envelope for command in commands if isinstance(command, g.TellStatus)]
    [published] = [command.envelope for command in commands if isinstance(command, g.PublishStatus)]
    status = verify_full_status(told, swarm=SWARM, now=START, publisher=OWN.peer_id).status
    plain = verify_status(published, swarm=SWARM, now=START).status
    assert {use.publisher: use.groups for use in status.used} == {
        peer: groups for peer, groups in used.items() if groups > 8
    }
    assert plain == PeerStatus(**{name: getattr(status, name) for name in PeerStatus.model_fields})
