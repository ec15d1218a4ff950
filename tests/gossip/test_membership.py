"""Who is there, at which addresses, whom to dial, and what time their clocks show."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from protocol import MEMBERSHIP_SHARDS, FullStatus, membership_key, sign_full_status, verify_status
from swarmd import gossip as g
from swarmd.gossip import GossipLimits
from swarmd.gossip.clock import ClockWatch
from swarmd.gossip.limits import status_shards_in
from swarmd.gossip.membership import LEFT, SIZE_ERROR, Membership
from swarmd.gossip.namesake import NamesakeWatch
from swarmd.gossip.status import StatusIntake
from swarmd.gossip.telling import Telling
from tests.gossip.making import START, address_of, key, make_manifest, make_own_status, make_status

MANIFEST = make_manifest()
SWARM = MANIFEST.swarm_id
LIMITS = GossipLimits()
OWN = key(0)


def membership(limits: GossipLimits = LIMITS, contacts: range = range(100)) -> Membership:
    """A membership in which the peers with these numbers are contacts."""
    close = {key(n).peer_id for n in contacts}
    return Membership(SWARM, OWN.peer_id, limits, random.Random(1), lambda peer, now: peer in close)


def statuses(numbers: range, now: float = START, **changes: object):
    return [
        verify_status(make_status(MANIFEST, key(n), now, **changes), swarm=SWARM, now=now) for n in numbers
    ]


def test_a_small_swarm_is_read_whole_within_a_few_reads():
    members = membership()
    seen: set[bytes] = set()
    now = START
    for _ in range(2):
        seen |= set(members.keys(now))
        members.answered([], now)
        now = members.read_timer.at
    assert len(seen) == MEMBERSHIP_SHARDS
    assert now - START < 60


def test_a_crowded_swarm_is_sampled_one_shard_at_a_time():
    members = membership()
    now = START
    crowd = statuses(range(1, 50))
    for _ in range(5):
        keys = members.keys(now)
        members.answered(crowd * len(keys), now)
        now = members.read_timer.at
    assert len(members.keys(now)) == 1


def test_full_shards_that_nobody_uses_any_more_do_not_keep_the_reads_of_a_shrunken_swarm_small():
    members = membership()
    now, crowd = START, statuses(range(1, 65))
    for _ in range(80):
        members.keys(now, shards=64)
        members.answered(crowd, now)
        now = members.read_timer.at
    for _ in range(MEMBERSHIP_SHARDS):
        members.keys(now, shards=MEMBERSHIP_SHARDS)
        members.answered([], now)
        now = members.read_timer.at
    assert len(members.keys(now, shards=MEMBERSHIP_SHARDS)) == LIMITS.membership_keys_max


def test_the_more_statuses_a_read_brings_the_longer_until_the_next_once_enough_peers_are_listed():
    pauses = {}
    for brought in (10, 70):
        members = membership()
        members.keys(START)
        members.answered(statuses(range(1, 71)), START)
        members.keys(members.read_timer.at)
        now = members.read_timer.at
        members.answered(statuses(range(1, 1 + brought)), now, swarm_size=70)
        pauses[brought] = members.read_timer.at - now
    for brought, pause in pauses.items():
        assert 0.75 <= pause / (brought * LIMITS.membership_s_per_status) <= 1.25


def test_in_a_larger_swarm_there_are_longer_pauses_between_two_reads_because_there_are_only_so_many_keys():
    pauses = {}
    for size in (LIMITS.statuses_listed, 4 * LIMITS.statuses_listed):
        members = membership()
        members.keys(START)
        members.answered(statuses(range(1, 71)), START, size)
        pauses[size] = members.read_timer.at - START
    few, many = pauses.values()
    assert 4 * 0.75 / 1.25 <= many / few <= 4 * 1.25 / 0.75


def test_names_beyond_any_size_that_the_swarm_can_have_change_neither_the_pause_nor_the_reads():
    for size in (3, 20):
        paces = set()
        for brought in (SIZE_ERROR * 20, 400):
            members = membership()
            now = START
            members.keys(now)
            members.answered(statuses(range(1, 1 + brought)), now, size)
            now = members.read_timer.at
            paces.add((now, len(members.keys(now))))
        assert len(paces) == 1


def test_a_crowd_of_names_does_not_keep_a_small_swarm_from_being_read_whole():
    members, now, crowd = membership(), START, statuses(range(1, 300))
    seen: set[bytes] = set()
    while len(seen) < MEMBERSHIP_SHARDS:
        seen |= set(members.keys(now))
        members.answered(crowd, now, 3)
        now = members.read_timer.at
    assert now - START < 600


def test_a_read_that_failed_says_nothing_of_its_shards():
    members, now = membership(), START
    for _ in range(3):
        assert len(members.keys(now)) == LIMITS.membership_keys_max
        members.failed(now)
        assert 0 < members.read_timer.at - now < 2 * LIMITS.membership_interval_s, "it is still starting"
        now = members.read_timer.at


def test_a_read_that_failed_does_not_shorten_the_rest_of_a_large_swarm():
    members = membership()
    members.keys(START)
    members.answered(statuses(range(1, 71)), START, 5_000)
    rest = members.read_timer.at
    members.hurry()
    assert members.keys(START + 1)
    members.failed(START + 1, 5_000)
    assert members.read_timer.at == pytest.approx(rest)


def test_a_second_read_soon_after_the_first_does_not_shorten_the_pause_of_the_first():
    """A peer that starts reads eight keys, and one more as soon as it has neighbours."""
    members = membership()
    members.keys(START)
    members.answered(statuses(range(1, 200)), START)
    pause = members.read_timer.at - START
    members.hurry()
    assert members.keys(START + 1)
    members.answered(statuses(range(1, 20)), START + 1)
    assert members.read_timer.at == pytest.approx(START + pause)
    members.keys(START + pause)
    members.answered(statuses(range(1, 20)), START + pause)
    assert members.read_timer.at - START - pause < 1.25 * 20 * LIMITS.membership_s_per_status


def test_a_large_swarm_is_read_fast_only_until_enough_peers_are_listed_for_the_first_time():
    members = membership()
    members.keys(START, 64)
    members.answered(statuses(range(1, 71)), START, 5_000)
    later = members.read_timer.at
    members.expire(later)
    assert members.peers() == (), "they expired meanwhile"
    members.keys(later, 64)
    members.answered(statuses(range(1, 5), later), later, 5_000)
    assert members.read_timer.at - later > 10 * LIMITS.membership_interval_s


def test_the_shards_of_the_statuses_grow_with_the_swarm_and_are_bounded():
    shards = [status_shards_in(size) for size in (1, 100, 2_047, 2_048, 4_095, 4_096, 10_000, 10**9)]
    assert shards == [16, 16, 16, 32, 32, 64, 64, 64]


def test_all_shards_that_are_believed_in_use_are_read_in_turn_and_no_others():
    members = membership()
    now, read = START, []
    for shards in (64, 64, 16):
        seen: set[bytes] = set()
        for _ in range(shards):
            keys = members.keys(now, shards)
            members.answered(statuses(range(1, 2)), now)
            now = members.read_timer.at
            seen |= set(keys)
        read.append(seen)
    every = [{membership_key(SWARM, shard) for shard in range(count)} for count in (64, 64, 16)]
    assert read == every


def published(telling: Telling, now: float, size: int) -> list[int]:
    """The shards among which a status is published at `now`."""
    return [c.shards for c in telling.due(now, size) if isinstance(c, g.PublishStatus)]


def test_a_status_that_was_refused_is_published_where_older_peers_accept_it():
    telling = Telling(OWN, MANIFEST, LIMITS, random.Random(1), NamesakeWatch())
    telling.own = make_own_status(OWN)
    assert published(telling, START, 5_000) == [64]
    telling.answered(kept=False)
    assert published(telling, START + 4 * 3_600, 5_000) == [16]
    telling.answered(kept=True)
    assert published(telling, START + 8 * 3_600, 5_000) == [64]


def test_a_goodbye_replaces_the_status_before_it_wherever_that_is():
    telling = Telling(OWN, MANIFEST, LIMITS, random.Random(1), NamesakeWatch())
    assert telling.goodbye(START) is None
    telling.own = make_own_status(OWN)
    for now, size, shards in ((START, 3_000, 32), (START + 4 * 3_600, 10, 16)):
        assert published(telling, now, size) == [shards]
        last = telling.goodbye(now + 1)
        assert last is not None
        assert last.shards == shards


def test_a_large_swarm_is_listed_by_samples_and_every_peer_always_has_a_new_status_to_tell():
    told: dict[int, list[float]] = {}
    published: dict[int, list[float]] = {}
    hour = 3_600
    for size in (2, 10 * LIMITS.statuses_listed):
        telling = Telling(OWN, MANIFEST, LIMITS, random.Random(1), NamesakeWatch())
        telling.own = make_own_status(OWN)
        for second in range(hour):
            commands = telling.due(START + second, size)
            told.setdefault(size, []).extend(second for c in commands if isinstance(c, g.TellStatus))
            published.setdefault(size, []).extend(second for c in commands if isinstance(c, g.PublishStatus))
    (small_told, large_told), (small, large) = told.values(), published.values()
    assert len(small_told) == pytest.approx(hour / LIMITS.status_interval_s, rel=0.1)
    assert len(large_told) == pytest.approx(hour / LIMITS.status_interval_s, rel=0.1)
    assert small == small_told, "a small swarm is always listed in full"
    assert 2 <= len(large) <= 5, "one status in ten is in the DHT at a time"


def test_a_swarm_of_up_to_half_of_those_listed_is_listed_in_full_at_all_times():
    for size in (100, LIMITS.statuses_listed // 2):
        telling = Telling(OWN, MANIFEST, LIMITS, random.Random(1), NamesakeWatch())
        telling.own = make_own_status(OWN)
        at = [
            second
            for second in range(3_600)
            for command in telling.due(START + second, size)
            if isinstance(command, g.PublishStatus)
        ]
        interval = LIMITS.status_interval_in(size)
        assert max(later - at for at, later in pairwise(at)) <= 1.25 * interval + 1
        assert max(later - at for at, later in pairwise(at)) < LIMITS.status_lifetime_s


def test_a_peer_that_fell_silent_is_looked_for_soon_in_a_small_swarm_and_not_in_a_large_one():
    pauses = {}
    for neighbours in (3, 300):
        gossip = machine()
        gossip.handle(g.Tick(neighbours), START)
        gossip.handle(
            g.StatusesRead(tuple(make_status(MANIFEST, key(n), START) for n in range(1, 71))), START
        )
        late = START + LIMITS.membership_interval_s_max + 1.0
        assert not [c for c in gossip.handle(g.Tick(neighbours), late) if isinstance(c, g.ReadStatuses)]
        commands = gossip.handle(g.Tick(neighbours, unheard=frozenset({key(1).peer_id})), late)
        pauses[neighbours] = bool([c for c in commands if isinstance(c, g.ReadStatuses)])
    assert pauses == {3: True, 300: False}


def test_what_a_connected_peer_tells_of_itself_is_listed():
    gossip, other = machine(), key(1)
    asked = gossip.handle(g.Tick(1, True, {other.peer_id: "/ip4/10.0.0.1/tcp/4001"}), START)
    assert g.AskStatus(other.peer_id) in asked
    plain = statuses(range(1, 2))[0].status
    envelope = sign_full_status(other, FullStatus(**dict(plain), used=()))
    gossip.handle(g.FullStatusRead(other.peer_id, envelope), START)
    (view,) = gossip.statistics().peers
    assert view.status is not None
    assert view.status.created == START


def test_a_status_for_which_there_is_no_room_is_offered_ever_less_often_until_there_is():
    gossip = machine()
    gossip.handle(make_own_status(OWN), START)
    published, now = [], START
    while now < START + 3 * LIMITS.status_interval_s_max:
        if any(isinstance(c, g.PublishStatus) for c in gossip.handle(g.Tick(1), now)):
            published.append(now)
            gossip.handle(g.StatusPublished(kept=False), now)
        now += 1.0
    pauses = [later - earlier for earlier, later in pairwise(published)]
    assert pauses[0] < 0.7 * pauses[1] < 0.7 * 0.9 * pauses[2]
    assert max(pauses) <= 1.25 * LIMITS.status_interval_s_max + 1.0
    gossip.handle(g.StatusPublished(kept=True), now)
    gossip.handle(g.NetworkRestarted(), now)
    assert [c for c in gossip.handle(g.Tick(1), now) if isinstance(c, g.PublishStatus)]
    later = now + 1.3 * LIMITS.status_interval_s
    assert [c for c in gossip.handle(g.Tick(1), later) if isinstance(c, g.PublishStatus)]


def test_a_new_status_is_remembered_with_its_addresses_an_old_one_does_not_come_back():
    members = membership()
    members.keys(START)
    (remember,) = members.answered(statuses(range(1, 2), START + 10, step=7), START + 10)
    assert remember == g.RememberPeer(key(1).peer_id, (address_of(key(1)),))
    assert members.answered(statuses(range(1, 2), START, step=3), START + 11) == []
    assert [seen.status.step for seen in members.peers()] == [7]


def test_a_peer_known_from_before_is_remembered_again_when_it_is_met_and_once():
    members = membership()
    members.remembered([(key(1).peer_id, (address_of(key(1)),))])
    first, second, third = (statuses(range(1, 2), START + 10 * n) for n in range(3))
    assert members.answered(first, START + 5) == [g.RememberPeer(key(1).peer_id, (address_of(key(1)),))]
    assert members.answered(second, START + 15) == []
    members.expire(START + 1_000)
    assert len(members.answered(third, START + 25)) == 1


def test_addresses_that_are_another_peers_are_not_kept():
    members = membership()
    assert members.answered(statuses(range(1, 2), addresses=(address_of(key(9)),)), START) == []
    assert members.connect(0, START) is None


def test_the_own_status_is_no_peer():
    members = membership()
    assert members.answered(statuses(range(1)), START) == []
    assert members.peers() == ()


def test_a_silent_peer_leaves_the_list_but_its_address_stays():
    members = membership()
    members.answered(statuses(range(1, 4)), START)
    members.expire(START + 100)
    assert len(members.peers()) == 3
    members.expire(START + 300)
    assert members.peers() == ()
    dial = members.connect(0, START + 300)
    assert dial is not None
    assert len(dial.addresses) == 3


def test_tables_are_bounded():
    members = membership(GossipLimits(peers_max=5, addresses_max=7))
    members.answered(statuses(range(1, 30)), START)
    assert [seen.peer_id for seen in members.peers()] == [key(n).peer_id for n in range(25, 30)]
    assert {members.connect(0, START + 60 * n) for n in range(1)} != {None}
    assert len(members._addresses) == 7


def test_names_that_were_only_read_displace_no_contact_and_are_not_remembered_for_the_next_start():
    members = membership(GossipLimits(peers_max=5, addresses_max=7), contacts=range(1, 4))
    told = members.answered(statuses(range(1, 4)), START)
    assert {command.peer_id for command in told} == {key(n).peer_id for n in range(1, 4)}
    assert members.answered(statuses(range(100, 200)), START + 1) == []
    assert len(members.peers()) == 5
    assert {key(n).peer_id for n in range(1, 4)} <= {seen.peer_id for seen in members.peers()}
    assert {key(n).peer_id for n in range(1, 4)} <= set(members._addresses)


def test_a_name_becomes_worth_remembering_once_it_is_a_contact():
    close: set[str] = set()
    members = Membership(SWARM, OWN.peer_id, LIMITS, random.Random(1), lambda peer, now: peer in close)
    first, second, third = (statuses(range(1, 2), START + 10 * n) for n in range(3))
    assert members.answered(first, START) == []
    close.add(key(1).peer_id)
    assert members.answered(second, START + 10) == [g.RememberPeer(key(1).peer_id, (address_of(key(1)),))]
    assert members.answered(third, START + 20) == []


def test_half_of_the_peers_it_dials_were_reached_before_however_many_names_flood_in():
    members = membership(contacts=range(0))
    members.remembered([(key(n).peer_id, (address_of(key(n)),)) for n in range(1, 4)])
    members.answered(statuses(range(100, 400)), START)
    reached = {address_of(key(n)) for n in range(1, 4)}
    for attempt in range(10):
        dial = members.connect(0, START + 20 * attempt)
        assert dial is not None
        assert len(reached & set(dial.addresses)) >= 2


def test_with_few_neighbours_it_dials_at_once_and_then_with_pauses():
    members = membership()
    members.remembered([(key(n).peer_id, (address_of(key(n)),)) for n in range(1, 9)])
    first = members.connect(1, START)
    assert first is not None
    assert len(first.addresses) == LIMITS.connect_peers_max
    members.connect(1, START + 1)  # the slow round to silent peers
    assert members.connect(1, START + 2) is None
    assert members.connect(1, START + LIMITS.connect_interval_s) is not None


def test_with_enough_neighbours_it_only_reaches_out_to_silent_peers_now_and_then():
    members = membership()
    members.answered(statuses(range(1, 6)), START)
    members.remembered([(key(9).peer_id, (address_of(key(9)),))])
    assert members.connect(5, START) == g.Connect((address_of(key(9)),))
    assert members.connect(5, START + 60) is None
    assert members.connect(5, START + 121) == g.Connect((address_of(key(9)),))


def test_peers_whose_bodies_had_to_come_from_the_dht_are_dialled_one_after_the_other():
    members = membership()
    members.answered(statuses(range(1, 6)), START)
    members.connect(5, START)
    for number in (1, 2, 1, 9):  # of peer 9 no address is known
        members.missed(key(number).peer_id)
    assert members.connect(5, START + 1) == g.Connect((address_of(key(1)),))
    assert members.connect(5, START + 2) is None
    assert members.connect(5, START + 1 + LIMITS.missed_interval_s) == g.Connect((address_of(key(2)),))
    assert members.connect(5, START + 100) is None


# The own status, and clocks --------------------------------------------------------------------------


def machine() -> g.Gossip:
    return g.Gossip(key=OWN, manifest=MANIFEST, rng=random.Random(1))


def test_the_own_status_is_published_about_every_interval_with_the_newest_content():
    gossip = machine()
    steps = []
    for second in range(150):
        gossip.handle(make_own_status(OWN, step=second), START + second)
        for command in gossip.handle(g.Tick(1), START + second):
            if isinstance(command, g.PublishStatus):
                verified = verify_status(command.envelope, swarm=SWARM, now=START + second)
                assert (verified.status.groups_published, verified.status.groups_pulled) == (3, 5)
                assert verified.status.expires - verified.status.created == LIMITS.status_lifetime_s
                steps.append(verified.status.step)
                assert steps[-1] == second
    assert steps[0] == 0
    interval = LIMITS.status_interval_s
    assert all(0.7 * interval <= b - a <= 1.3 * interval for a, b in pairwise(steps))


def test_without_an_own_status_none_is_published():
    assert not [c for c in machine().handle(g.Tick(1), START) if isinstance(c, g.PublishStatus)]


def test_long_texts_and_others_addresses_are_cut_from_the_own_status():
    own = make_own_status(OWN)
    long = g.OwnStatus(
        **{
            **vars(own),
            "model": "/a/very/long/path" * 20,
            "addresses": (address_of(key(3)), *[address_of(OWN)] * 20),
        }
    )
    gossip = machine()
    gossip.handle(long, START)
    (publish,) = [c for c in gossip.handle(g.Tick(1), START) if isinstance(c, g.PublishStatus)]
    status = verify_status(publish.envelope, swarm=SWARM, now=START).status
    assert status.addresses == (address_of(OWN),) * 8
    assert len(status.model.encode()) == 128


@pytest.mark.parametrize("offset", [-600, -90, 0, 90, 600])
def test_the_clock_watch_finds_how_far_the_swarm_is_ahead_even_of_refused_statuses(offset: int):
    clock = ClockWatch(LIMITS)
    intake = StatusIntake(SWARM, clock, lambda peer, now: True)
    for minute in range(4):
        read = START + 60 * minute
        envelopes = [
            make_status(MANIFEST, key(n), read + offset - (7 * n + 11 * minute) % 30) for n in range(5)
        ]
        intake.read(envelopes, read)
    found = clock.offset_s(START + 240)
    assert found is None if offset == 0 else found == pytest.approx(offset, abs=10)


def test_names_that_were_only_read_do_not_move_the_clock():
    clock = ClockWatch(LIMITS)
    intake = StatusIntake(SWARM, clock, lambda peer, now: False)
    for minute in range(4):
        read = START + 60 * minute
        intake.read([make_status(MANIFEST, key(n), read + 100) for n in range(50)], read)
    assert clock.offset_s(START + 240) is None


def test_two_peers_are_too_few_to_doubt_the_own_clock():
    clock = ClockWatch(LIMITS)
    for minute in range(4):
        for number in (1, 2):
            clock.observe(key(number).peer_id, int(START) + 60 * minute + 500, START + 60 * minute)
    assert clock.offset_s(START + 240) is None


def test_a_clock_that_was_set_right_is_no_longer_complained_about():
    clock = ClockWatch(LIMITS)
    for minute in range(8):
        wrong_by = 200 if minute < 4 else 0
        for number in range(5):
            clock.observe(key(number).peer_id, int(START) + 60 * minute, START + 60 * minute - wrong_by)
    assert clock.offset_s(START + 480) is None


def test_whoever_said_goodbye_has_left_until_it_is_heard_again():
    members = membership()
    members.keys(START)
    members.answered([*statuses(range(1, 3)), *statuses(range(2, 3), START + 1, phase=LEFT)], START + 1)
    assert members.left() == {key(2).peer_id}
    members.expire(START + 10_000)
    assert members.peers() == ()
    assert members.left() == {key(2).peer_id}, "however long ago"
    members.answered(statuses(range(2, 3), START + 20_000), START + 20_000)
    assert members.left() == frozenset()
