"""How long a peer that came later than others waits."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from protocol import PeerId
from swarmd.gossip import Acquaintance, Gossip, GossipLimits, OperatorSaid, PeersRemembered, Tick
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.trials import Trials
from swarmd.network.interface import Standing, Way
from tests.gossip.making import START, key, make_manifest

LIMITS = GossipLimits()
EARLY, LATE = key(1).peer_id, key(2).peer_id


def trials(first: Mapping[PeerId, float]) -> Trials:
    """Peers that delivered for the first time so many seconds after the start."""
    made = Trials(LIMITS)
    for peer, seconds in first.items():
        made.taught(peer, START + seconds, START + seconds)
    return made


def test_a_peer_that_came_later_waits_some_times_as_long_as_it_came_later():
    made = trials({EARLY: 0, LATE: 4})
    made.taught(EARLY, START + 70, START + 70)
    end = START + 4 + 4 * LIMITS.trial_delays
    assert made.is_on_trial(LATE, end - 1)
    assert not made.is_on_trial(LATE, end)
    assert not made.is_on_trial(EARLY, START + 20)


def test_a_slow_peer_that_was_connected_from_the_start_is_not_late():
    made = Trials(LIMITS)
    made.connected([EARLY, LATE], START)
    made.taught(EARLY, START + 1, START + 1)
    made.taught(LATE, START + 40, START + 40)
    assert not made.is_on_trial(LATE, START + 40)


def test_a_peer_that_came_late_and_kept_silent_waits_from_its_first_delivery_on():
    made = Trials(LIMITS)
    made.connected([EARLY], START)
    made.connected([EARLY, LATE], START + 10)
    made.taught(EARLY, START + 1, START + 500)
    made.taught(LATE, START + 500, START + 500)
    end = START + 500 + 10 * LIMITS.trial_delays
    made.taught(EARLY, end - 2, end - 2)
    assert made.is_on_trial(LATE, end - 1)
    assert not made.is_on_trial(LATE, end)


def test_connections_of_many_others_do_not_make_a_connected_peer_late():
    made = Trials(replace(LIMITS, acquaintances_max=4))
    for number in range(10, 40):
        made.connected([EARLY, LATE, key(number).peer_id], START + number)
    made.taught(EARLY, START + 41, START + 41)
    made.taught(LATE, START + 90, START + 90)
    assert not made.is_on_trial(LATE, START + 90)


def test_nobody_waits_longer_than_ten_minutes():
    made = trials({EARLY: 0, LATE: 100_000})
    now = START + 100_000 + LIMITS.trial_s_max
    made.taught(EARLY, now - 2, now - 2)
    assert made.is_on_trial(LATE, now - 1.5)
    assert not made.is_on_trial(LATE, now)


def test_nobody_is_on_trial_while_no_earlier_peer_delivers():
    made = trials({EARLY: 0, LATE: 100})
    made.taught(EARLY, START + 100, START + 100)
    assert made.is_on_trial(LATE, START + 101)
    made.taught(LATE, START + 150, START + 150)
    assert not made.is_on_trial(LATE, START + LIMITS.trial_elder_s + 100)


def test_a_peer_that_never_delivered_is_not_on_trial():
    assert not trials({EARLY: 0}).is_on_trial(LATE, START + 1)


@given(
    first=st.dictionaries(
        st.sampled_from([key(n).peer_id for n in range(6)]), st.floats(0, 10_000), min_size=1
    ),
    after=st.floats(0, 10_000),
)
def test_the_first_of_all_never_waits_and_whoever_came_later_never_waits_less_long(
    first: dict[PeerId, float], after: float
):
    made = trials(first)
    now = START + max(first.values()) + after
    for peer in first:
        made.taught(peer, now, now)
    waiting = [made.is_on_trial(peer, now) for peer in sorted(first, key=first.__getitem__)]
    assert not waiting[0]
    assert waiting == sorted(waiting)


def test_many_peers_take_bounded_room_and_displace_the_one_that_was_silent_longest():
    made = Trials(GossipLimits(acquaintances_max=3))
    made.taught(EARLY, START, START)
    for number in range(10):
        made.taught(key(10 + number).peer_id, START + 50, START + 50)
        made.taught(EARLY, START + 50, START + 50)
    assert made.is_on_trial(key(19).peer_id, START + 51)
    assert not made.is_on_trial(key(10).peer_id, START + 51), "forgotten"


# Of contacts -----------------------------------------------------------------------------------------


def test_names_at_one_address_are_on_trial_as_one_party_and_being_trusted_ends_it():
    contacts = Contacts(LIMITS)
    contacts.delivered(EARLY, Way.DIRECT, "/ip4/10.0.0.1/tcp/1", START)
    for number in range(10, 18):
        contacts.delivered(key(number).peer_id, Way.DIRECT, "/ip4/10.9.9.9/tcp/1", START + 30)
    now = START + 31
    assert contacts.party(EARLY, now, proved=True) == Party("10.0.0.1", Standing.MET)
    parties = {contacts.party(key(n).peer_id, now, proved=True) for n in range(10, 18)}
    assert parties == {Party("10.9.9.9", Standing.MET, on_trial=True)}
    contacts.trust(key(10).peer_id, True)
    assert not contacts.party(key(10).peer_id, now, proved=True).on_trial


def test_a_new_name_at_the_address_of_an_earlier_one_waits_too():
    contacts = Contacts(LIMITS)
    for peer, seconds in ((EARLY, 0), (LATE, 30)):
        contacts.delivered(peer, Way.DIRECT, "/ip4/10.0.0.1/tcp/1", START + seconds)
    assert not contacts.party(EARLY, START + 31, proved=True).on_trial
    assert contacts.party(LATE, START + 31, proved=True).on_trial


def test_what_came_through_the_dht_does_not_shorten_the_wait():
    contacts = Contacts(LIMITS)
    contacts.delivered(LATE, Way.INLINE, None, START)
    contacts.delivered(EARLY, Way.DIRECT, "/ip4/10.0.0.1/tcp/1", START + 1)
    contacts.delivered(LATE, Way.DIRECT, "/ip4/10.0.0.2/tcp/1", START + 31)
    assert contacts.party(LATE, START + 32, proved=True).on_trial


def test_whoever_lied_begins_anew():
    contacts = Contacts(LIMITS)
    for seconds in (0, 30):
        for peer, host in ((EARLY, "10.0.0.1"), (LATE, "10.0.0.2")):
            contacts.delivered(peer, Way.DIRECT, f"/ip4/{host}/tcp/1", START + seconds)
    assert not contacts.party(LATE, START + 30, proved=True).on_trial
    contacts.disgraced(LATE)
    contacts.delivered(LATE, Way.DIRECT, "/ip4/10.0.0.2/tcp/1", START + 40)
    assert contacts.party(LATE, START + 41, proved=True).on_trial


def test_when_a_peer_was_first_met_counts_after_a_restart():
    contacts = Contacts(LIMITS)
    contacts.remembered([Acquaintance(EARLY, 5, START - 90_000, START - 80_000, "10.0.0.1")])
    contacts.delivered(LATE, Way.DIRECT, "/ip4/10.0.0.2/tcp/1", START)
    assert not contacts.party(LATE, START, proved=True).on_trial, "the other is not there yet"
    contacts.delivered(EARLY, Way.DIRECT, "/ip4/10.0.0.1/tcp/1", START + 5)
    assert contacts.party(LATE, START + 6, proved=True).on_trial
    assert not contacts.party(EARLY, START + 6, proved=True).on_trial


def test_the_statistics_say_who_is_on_trial_but_not_of_whom_is_ignored():
    gossip = Gossip(key=key(0), manifest=make_manifest(), rng=random.Random(0), limits=LIMITS, dialable=True)
    first = {EARLY: (START, "10.0.0.1"), LATE: (START + 30, "10.0.0.2")}
    met = tuple(Acquaintance(peer, 1, at, START + 31, group) for peer, (at, group) in first.items())
    gossip.handle(PeersRemembered(met, {}), START + 31)
    hosts = {peer: f"/ip4/{group}/tcp/1" for peer, (_, group) in first.items()}
    gossip.handle(Tick(2, connections=hosts), START + 32)
    assert {view.peer_id: view.on_trial for view in gossip.statistics().peers} == {EARLY: False, LATE: True}
    gossip.handle(OperatorSaid(LATE, "ban"), START + 33)
    assert not any(view.on_trial for view in gossip.statistics().peers)
