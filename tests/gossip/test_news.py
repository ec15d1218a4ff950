"""Announcements that others have this peer hold: it need not look for them."""

from __future__ import annotations

import random

from protocol import KeyPair, sign_record
from swarmd import gossip as g
from swarmd.gossip.limits import GossipLimits
from tests.gossip.making import START, announce, key, make_manifest, make_record

MANIFEST = make_manifest()
LIMITS = GossipLimits()
OWN = key(0)


def machine(*, groups: int = 8) -> g.Gossip:
    gossip = g.Gossip(key=OWN, manifest=MANIFEST, rng=random.Random(1))
    gossip.handle(g.Demand(groups, 5.0), START)
    return gossip


def held(signer: KeyPair, number: int) -> g.AnnouncementHeld:
    record = make_record(MANIFEST, number, START)
    return g.AnnouncementHeld(announce(signer, record, sign_record(signer, record)))


def pulls(commands: list[g.Command]) -> list[g.Pull]:
    return [command for command in commands if isinstance(command, g.Pull)]


def test_what_it_holds_is_pulled_at_once():
    gossip = machine()
    (pull,) = pulls(gossip.handle(held(key(1), 1), START))
    assert pull.publisher == key(1).peer_id


def test_the_same_announcement_is_taken_once_however_often_it_comes():
    gossip = machine()
    news = held(key(1), 1)
    gossip.handle(news, START)
    assert pulls(gossip.handle(news, START + 1.0)) == []
    assert gossip.statistics().candidates == 0


def test_a_trainer_that_uses_no_groups_of_others_pulls_none():
    gossip = machine(groups=0)
    assert pulls(gossip.handle(held(key(1), 1), START)) == []


def test_own_announcements_that_come_back_are_not_pulled():
    assert pulls(machine().handle(held(OWN, 1), START)) == []


def test_how_much_of_a_flood_is_taken_is_bounded():
    gossip = machine(groups=0)
    for number in range(2 * int(LIMITS.news_burst)):
        gossip.handle(held(key(1 + number % 40), number), START)
    assert gossip.statistics().candidates == LIMITS.news_burst
    gossip.handle(held(key(1), 1_000), START + 1.0)
    assert gossip.statistics().candidates == LIMITS.news_burst + 1


def test_junk_is_counted_and_taken_for_nothing():
    gossip = machine()
    assert pulls(gossip.handle(g.AnnouncementHeld(b"junk"), START)) == []
    assert sum(gossip.statistics().junk.values()) == 1
