"""What a peer believes, and because of whom: deliveries and connections count, names do not."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest

from protocol import shard_of, verify_announcement
from swarmd.gossip import Acquaintance, GossipLimits
from swarmd.gossip.contacts import UNMET, UNMET_KNOWN, Contacts, Party
from swarmd.gossip.kept import Kept
from swarmd.gossip.outage import WINDOW_S, Outages
from swarmd.network.interface import Standing, Way
from tests.gossip.making import START, announce, key, make_manifest, make_record

LIMITS = GossipLimits()
FIRST, SECOND = key(1).peer_id, key(2).peer_id
KNOWN = Acquaintance(FIRST, LIMITS.known_groups, START - LIMITS.known_after_s, START, "10.0.0.1")


def at(host: str, port: int = 4001) -> str:
    return f"/ip4/{host}/tcp/{port}"


def settled(contacts: Contacts, now: float) -> int:
    """The size once it has had time to follow."""
    contacts.size(now)
    return contacts.size(now + 120)


# Size ------------------------------------------------------------------------------------------------


def test_a_peer_alone_is_one_and_whoever_delivers_is_one_more_or_else_is_connected():
    contacts = Contacts(LIMITS)
    assert settled(contacts, START) == 1
    for _ in range(2):
        contacts.delivered(FIRST, Way.INLINE, None, START + 200)
    assert settled(contacts, START + 200) == 2
    contacts.connected({SECOND: at("10.0.0.2")}, START)
    assert settled(contacts, START + 200 + LIMITS.contact_s) == 2, "the connection is there"
    contacts.connected({}, START)
    assert settled(contacts, START + 1_000 + LIMITS.parted_s) == 1


def test_one_host_that_opens_many_connections_makes_few_contacts():
    contacts = Contacts(LIMITS)
    contacts.connected({FIRST: at("10.0.0.1")}, START)
    crowd = {key(n).peer_id: at("10.0.0.1", n) for n in range(100, 400)}
    contacts.connected(crowd | {FIRST: at("10.0.0.1"), SECOND: at("10.0.0.2")}, START)
    assert settled(contacts, START) == 1 + LIMITS.connected_per_group + 1
    assert contacts.is_contact(FIRST, START), "it was there before the crowd"


def test_a_connection_that_was_closed_counts_in_the_size_longer_than_a_delivery_makes_a_contact():
    contacts = Contacts(LIMITS)
    contacts.connected({FIRST: at("10.0.0.1"), SECOND: at("10.0.0.2")}, START)
    contacts.connected({SECOND: at("10.0.0.2")}, START + 100)
    assert settled(contacts, START + 100) == 3
    assert not contacts.is_contact(FIRST, START + 100), "it vouches for nothing else"
    assert contacts.standing(FIRST, START + 100) is Standing.STRANGER
    assert settled(contacts, START + 100 + LIMITS.contact_s) == 3
    assert settled(contacts, START + 100 + LIMITS.parted_s) == 2


def test_names_that_take_turns_on_the_connections_of_one_host_count_no_more_than_names_that_stay():
    contacts = Contacts(LIMITS)
    for turn in range(20):
        names = range(100 + 8 * turn, 108 + 8 * turn)
        contacts.connected({key(n).peer_id: at("10.0.0.1", n) for n in names}, START + turn)
    assert settled(contacts, START + 20) == 1 + LIMITS.connected_per_group
    contacts.connected({}, START + 20)
    assert settled(contacts, START + 200) == 1 + LIMITS.connected_per_group


def test_the_size_follows_within_minutes_and_never_at_once():
    contacts = Contacts(LIMITS)
    sizes = [contacts.size(START)]
    for n in [*range(200)] * 2:
        contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.0.{n}.1"), START)
    for times in range(1, 25):
        sizes.append(contacts.size(START + LIMITS.size_doubles_s * times))
    assert sizes[-1] == 201
    assert all(later <= max(4, 2 * before + 1) for before, later in pairwise(sizes))


def test_if_most_were_heard_once_the_size_estimate_doubles_and_no_more():
    contacts = Contacts(LIMITS)
    for n in range(100):
        contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.0.{n}.1"), START)
    assert settled(contacts, START) == 201
    for n in range(100):
        contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.0.{n}.1"), START + 200)
    assert settled(contacts, START + 200) == 101


def test_while_met_peers_are_there_strangers_count_for_no_more_than_they_do():
    contacts = Contacts(LIMITS)
    crowd = [key(n).peer_id for n in range(100, 200)]
    for peer in crowd * 2:
        contacts.delivered(peer, Way.INLINE, None, START)
    assert settled(contacts, START) == 101, "where nobody else is there, they are the swarm"
    now = START + 200
    for n in range(3):
        for _ in range(2):
            contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.0.0.{n}"), now)
    assert settled(contacts, now) == 1 + 3 + 3
    assert set(contacts.vouching(now)) == {key(n).peer_id for n in range(3)}


def test_connections_that_bring_nothing_count_as_far_as_deliveries_suggest_that_some_are_unheard():
    contacts = Contacts(LIMITS)
    contacts.connected({key(n).peer_id: at(f"10.9.{n}.9") for n in range(100, 150)}, START)
    assert settled(contacts, START) == 51, "where nobody delivers yet, they are the swarm"
    now = START + 200
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), now)
    assert settled(contacts, now) == 1 + 2 * (1 + 50), "heard once: others may deliver next"
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), now + 200)
    assert settled(contacts, now + 200) == 2, "one delivers again and again"
    for n in range(100, 150):
        for _ in range(2):
            contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.9.{n}.9"), now + 200)
    assert settled(contacts, now + 330) == 52


def test_a_clock_that_jumps_does_no_harm_to_the_size():
    contacts = Contacts(LIMITS)
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), START)
    for now in (START, START - 5_000, START + 1e6, START):
        assert 1 <= contacts.size(now) <= 3


# Standing and parties --------------------------------------------------------------------------------


def test_a_peer_is_a_stranger_then_met_then_known():
    contacts = Contacts(LIMITS)
    assert contacts.standing(FIRST, START) is Standing.STRANGER
    contacts.delivered(FIRST, Way.INLINE, None, START)
    assert contacts.standing(FIRST, START) is Standing.STRANGER
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), START)
    assert contacts.standing(FIRST, START) is Standing.MET
    for _ in range(100):
        contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), START + 60)
    assert contacts.standing(FIRST, START + 60) is Standing.MET, "many groups, but not for long"
    later = START + LIMITS.known_after_s
    contacts.delivered(FIRST, Way.INLINE, None, later)
    assert contacts.standing(FIRST, later) is Standing.KNOWN
    assert contacts.standing(FIRST, later + LIMITS.known_for_s) is Standing.MET


def test_a_peer_that_was_known_is_known_after_a_restart_unless_it_lied():
    contacts = Contacts(LIMITS)
    contacts.remembered([KNOWN])
    assert contacts.standing(FIRST, START) is Standing.KNOWN
    contacts.disgraced(FIRST)
    assert contacts.standing(FIRST, START) is Standing.STRANGER


def test_a_peer_that_the_operator_trusts_is_known_and_a_party_of_its_own():
    contacts = Contacts(LIMITS)
    contacts.trust(FIRST, True)
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), START)
    assert contacts.party(FIRST, START, proved=True) == Party(FIRST, Standing.KNOWN)
    contacts.trust(FIRST, False)
    assert contacts.party(FIRST, START, proved=True) == Party("10.0.0.1", Standing.MET)


def test_all_that_were_never_met_are_one_party_however_long_they_deliver():
    contacts = Contacts(LIMITS)
    for now in (START, START + LIMITS.known_after_s):
        for n in range(1, 40):
            for _ in range(LIMITS.known_groups):
                contacts.delivered(key(n).peer_id, Way.INLINE, None, now)
        parties = {contacts.party(key(n).peer_id, now, proved=True).name for n in range(1, 40)}
        assert parties == ({UNMET} if now == START else {UNMET_KNOWN})


def test_being_connected_is_enough_for_a_first_pull_and_proves_nothing_for_a_draw():
    contacts = Contacts(LIMITS)
    contacts.connected({FIRST: at("10.0.0.1")}, START)
    assert contacts.party(FIRST, START, proved=False) == Party("10.0.0.1", Standing.MET)
    assert contacts.party(FIRST, START, proved=True) == Party(UNMET, Standing.STRANGER)


def test_a_crowd_of_newcomers_does_not_make_it_forget_the_known():
    contacts = Contacts(GossipLimits(acquaintances_max=5))
    contacts.remembered([KNOWN])
    for n in range(10, 60):
        contacts.delivered(key(n).peer_id, Way.DIRECT, at(f"10.0.0.{n}"), START + n)
    assert contacts.standing(FIRST, START + 60) is Standing.KNOWN


# Where they publish ----------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 16, 64])
def test_a_contacts_spread_is_read_off_its_announcements(count: int):
    manifest, contacts = make_manifest(tasks=6), Contacts(LIMITS)
    for number in range(6):
        record = make_record(manifest, number, START)
        shard = shard_of(FIRST, record.task.task_id, count)
        found = verify_announcement(
            announce(key(1), record, b"body", shard=shard), manifest=manifest, now=START
        )
        contacts.announced(found)
    width = contacts.width(FIRST)
    assert width is not None
    assert width <= count
    for task in manifest.tasks:
        assert shard_of(FIRST, task.task_id, width) == shard_of(FIRST, task.task_id, count)


def test_contacts_are_drawn_party_by_party():
    contacts = Contacts(LIMITS)
    for n in range(10, 60):
        contacts.delivered(key(n).peer_id, Way.INLINE, None, START)
    contacts.delivered(FIRST, Way.DIRECT, at("10.0.0.1"), START)
    rng = random.Random(1)
    drawn = Counter(contacts.drawn(rng, START) for _ in range(400))
    assert 160 <= drawn[FIRST] <= 240


def test_contacts_that_publish_nothing_are_looked_for_in_a_quarter_of_the_draws():
    manifest, contacts = make_manifest(), Contacts(LIMITS)
    hosts = {key(n).peer_id: at(f"10.9.{n}.9") for n in range(10, 18)} | {FIRST: at("10.0.0.1")}
    contacts.connected(hosts, START)
    rng = random.Random(1)
    drawn = Counter(contacts.drawn(rng, START) for _ in range(400))
    assert drawn[FIRST] <= 80, "an even share, while nobody was read"
    record = make_record(manifest, 1, START)
    contacts.announced(verify_announcement(announce(key(1), record, b"body"), manifest=manifest, now=START))
    drawn = Counter(contacts.drawn(rng, START) for _ in range(400))
    assert 260 <= drawn[FIRST] <= 340


# Tables and outages ----------------------------------------------------------------------------------


def test_in_a_kept_table_strangers_displace_only_strangers():
    table: Kept[str, int] = Kept(3)
    table.put("friend", 1, close=True)
    for n in range(10):
        table.put(f"name {n}", n, close=False)
    assert table.keys() == ("name 8", "name 9", "friend")
    for n in range(3):
        table.put(f"other friend {n}", n, close=True)
    assert table.keys() == ("other friend 0", "other friend 1", "other friend 2")
    table.put("late", 1, close=False)
    assert "late" not in table


def test_if_most_fail_together_it_is_our_own_fault_and_if_one_fails_it_is_not():
    outages = Outages()
    for party in "abcd":
        outages.worked(party, START)
    outages.failed("a", "pull", START + 1)
    assert not outages.most_fail("pull", START + 1)
    outages.failed("b", "pull", START + 1)
    assert not outages.most_fail("pull", START + 1)
    outages.failed("c", "pull", START + 2)
    assert outages.most_fail("pull", START + 2)
    assert not outages.most_fail("absent", START + 2)
    outages.worked("c", START + 3)
    assert not outages.most_fail("pull", START + 3)
    assert not outages.most_fail("pull", START + 2 + WINDOW_S)


def test_a_single_failing_party_does_not_show_whose_fault_it_is():
    outages = Outages()
    outages.failed("a", "pull", START)
    assert not outages.most_fail("pull", START)
    assert not outages.all_fail("pull", START)


def test_all_fail_is_a_stricter_verdict_than_most_fail():
    outages = Outages()
    outages.worked("a", START)
    for party in "bcd":
        outages.failed(party, "scorer", START)
    assert outages.most_fail("scorer", START)
    assert not outages.all_fail("scorer", START)
    outages.failed("a", "scorer", START + 1)
    assert outages.all_fail("scorer", START + 1)
