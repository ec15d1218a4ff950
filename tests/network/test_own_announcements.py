"""What a peer tells of itself."""

from __future__ import annotations

from protocol import Placement, dht_id, place_announcement, publisher_key, sign_record
from swarmd.network.own_announcements import TOLD_MAX, OwnAnnouncements
from tests.gossip.making import START, announce, key, make_manifest, make_record

MANIFEST = make_manifest()
OWN = key(0)
NAME = dht_id(publisher_key(MANIFEST.swarm_id, OWN.peer_id))


def placement(number: int, signer: int = 0, now: float = START) -> Placement:
    record = make_record(MANIFEST, number, now)
    envelope = announce(key(signer), record, sign_record(key(signer), record))
    return place_announcement(envelope, manifest=MANIFEST, now=now)


def test_they_are_found_under_this_publishers_key_and_no_other():
    own = OwnAnnouncements(OWN.peer_id, lambda: MANIFEST)
    one = placement(1)
    own.add([one, placement(2, signer=1)])
    found = own.at(NAME, START)
    assert found is not None
    assert [(subkey, held.value, held.expires) for subkey, held in found.items()] == [
        (one.subkey, one.value, one.expires)
    ]
    for name in (dht_id(one.key), dht_id(publisher_key(MANIFEST.swarm_id, key(1).peer_id))):
        assert own.at(name, START) is None
    assert OwnAnnouncements(OWN.peer_id, lambda: None).at(NAME, START) is None, "the swarm is not known"


def test_the_newest_are_told_until_they_expire():
    own = OwnAnnouncements(OWN.peer_id, lambda: MANIFEST)
    several = [placement(number) for number in range(TOLD_MAX + 3)]
    own.add(several)
    assert [held.value for held in own.told(START).values()] == [each.value for each in several[3:]]
    assert own.told(several[0].expires) == {}


def test_the_newest_are_told_even_if_older_ones_are_announced_again_after_them():
    """After an outage everything is announced again, the newest batch first."""
    own = OwnAnnouncements(OWN.peer_id, lambda: MANIFEST)
    older = [placement(number, now=START) for number in range(TOLD_MAX)]
    newer = [placement(TOLD_MAX + number, now=START + 60) for number in range(TOLD_MAX)]
    for batch in (older, newer, older):
        own.add(batch)
    assert [held.value for held in own.told(START).values()] == [one.value for one in newer]
