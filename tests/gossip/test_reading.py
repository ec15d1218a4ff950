"""Which keys are read, how often, and how many shards there are."""

from __future__ import annotations

import random

import pytest

from protocol import SHARDS_MAX, PeerId, announcement_key, shard_of, verify_announcement
from swarmd.gossip import GossipLimits
from swarmd.gossip.contacts import Contacts
from swarmd.gossip.intake import Intake
from swarmd.gossip.reading import SETTLE_S, Reader, Topic
from swarmd.gossip.shards import CROWDED, ShardCount
from tests.gossip.making import START, announce, announced_record, key, make_manifest, make_record

LIMITS = GossipLimits()
MANIFEST = make_manifest()
SWARM = MANIFEST.swarm_id
ROUND = MANIFEST.round_at(START)


def reader(contacts: Contacts | None = None) -> Reader:
    return Reader(SWARM, MANIFEST, LIMITS, random.Random(1), contacts or Contacts(LIMITS))


def anybody(_: PeerId) -> bool:
    return True


def test_the_keys_are_those_of_recent_rounds_the_swarms_tasks_and_the_shards():
    known = {
        announcement_key(SWARM, round_, task.task_id, shard)
        for round_ in range(ROUND - LIMITS.read_rounds_back, ROUND + 1)
        for task in MANIFEST.tasks
        for shard in range(4)
    }
    read = reader()
    inside = outside = 0
    for _ in range(100):
        keys = read.keys(100, 4, START)
        read.timer.wake()
        assert 0 < len(keys) <= LIMITS.read_keys_max
        assert len(set(keys)) == len(keys)
        found = [key in known for key in keys]
        inside += sum(found)
        outside += len(found) - sum(found)
    assert inside > 8 * outside > 0, "some look wider: somebody may spread wider than we know"


def test_the_newest_round_is_read_rarely_where_announcing_is_spread_in_time():
    shares = []
    for shards in (8, SHARDS_MAX):
        read, rounds = reader(), []
        for _ in range(400):
            read.keys(1, shards, START)
            rounds += [topic.round for topic in read.topics_read()]
            read.timer.wake()
        assert set(rounds) == set(range(ROUND - LIMITS.read_rounds_back, ROUND + 1))
        shares.append(rounds.count(ROUND) / len(rounds))
    several = LIMITS.read_rounds_back + 1
    assert shares == [pytest.approx(1 / several, rel=0.3), pytest.approx(1 / several**2, rel=0.6)]


def test_only_one_read_at_a_time_and_none_while_nothing_is_missing():
    read = reader()
    assert read.keys(0, 1, START) == ()
    assert read.keys(5, 1, START)
    assert read.keys(5, 1, START + 10) == ()
    read.answered(0, START + 10)
    assert read.keys(5, 1, START + 15)


def test_a_read_that_is_never_answered_is_forgotten():
    read = reader()
    assert read.keys(5, 1, START)
    assert read.keys(5, 1, START + LIMITS.read_answer_s)


def test_the_more_a_key_brings_the_fewer_are_read():
    read = reader()
    counts = []
    now = START
    for _ in range(12):
        keys = read.keys(8, 16, now)
        counts.append(len(keys))
        read.answered(20 * len(keys), now)
        now += 3
    assert counts[0] == LIMITS.read_keys_max
    assert counts[-1] == 1


def test_reads_that_bring_less_than_one_candidate_per_key_become_rare_and_plenty_makes_them_frequent_again():
    read = reader()
    pauses = []
    now = START
    for missing_per_key in (1, 1, 1, 1, 1, 0):
        keys = read.keys(8, 1, now)
        read.answered(len(keys) - missing_per_key, now)
        pauses.append(read.timer.at - now)
        now = read.timer.at
    assert pauses == [4, 8, 16, 30, 30, LIMITS.read_interval_s_min]


def test_a_key_whose_round_was_over_when_it_was_read_is_not_read_again():
    read = reader()
    now = START + MANIFEST.round_seconds * 0.9
    seen: list[bytes] = []
    for _ in range(40):
        seen += read.keys(100, 1, now)
        read.answered(1, now)
        read.timer.wake()
    over = {
        announcement_key(SWARM, r, t.task_id, s)
        for r in range(ROUND - 3, ROUND)
        for t in MANIFEST.tasks
        for s in (0, 1)
    }
    assert all(seen.count(k) == 1 for k in over if k in seen)
    assert len(over & set(seen)) >= 9, "and all of them were found"


@pytest.mark.parametrize("how", ["failed", "began before", "start over"])
def test_a_key_read_while_nobody_could_be_reached_is_read_again(how: str):
    read = reader()
    now = START + MANIFEST.round_seconds * 0.9
    asked = set(read.keys(100, 1, now))
    if how == "began before":
        read.start_over()
    read.answered(0, now, failed=how == "failed")
    if how == "start over":
        read.start_over()
    again: set[bytes] = set()
    for _ in range(40):
        read.timer.wake()
        again |= set(read.keys(100, 1, now))
        read.answered(0, now)
    assert asked <= again


def test_where_announcing_is_spread_in_time_a_key_is_read_again_until_the_last_announcement_of_its_round():
    spread_s = LIMITS.spread_rounds * MANIFEST.round_seconds
    until = MANIFEST.round_start(ROUND) + spread_s + SETTLE_S
    for shards, over_at in ((SHARDS_MAX // 4, until - spread_s), (SHARDS_MAX, until)):
        read = reader()
        for now in (over_at - 1, over_at):
            assert ROUND - 1 not in {topic.round for topic in read._finished}
            read_all(read, shards, now)
        assert ROUND - 1 in {topic.round for topic in read._finished}


def read_all(read: Reader, shards: int, now: float) -> None:
    """Read often enough that keys of each recent round are among them."""
    for _ in range(40):
        read.timer.wake()
        read.keys(100, shards, now)
        read.answered(1, now)


def test_a_key_is_forgotten_once_its_round_is_read_no_more():
    read = reader()
    finished = 0
    for second in range(0, 100 * MANIFEST.round_seconds, 5):
        now = START + second
        if read.keys(100, 1, now):
            read.answered(1, now)
            finished = max(finished, len(read._finished))
            oldest = MANIFEST.round_at(now) - LIMITS.read_rounds_back
            assert all(topic.round >= oldest for topic in read._finished)
    assert finished > 0


def test_before_genesis_there_is_nothing_to_read():
    assert reader().keys(5, 1, MANIFEST.genesis - 100) == ()


def test_an_envelope_is_verified_once_and_junk_is_counted_once():
    intake = Intake(MANIFEST, LIMITS)
    announced, _ = announced_record(MANIFEST, key(1), 1, START)
    topic = Topic(ROUND, announced.announcement.task_id, 0)
    new, load = intake.read([announced.envelope, b"junk"], [topic], START, anybody)
    assert [a.publisher for a in new] == [key(1).peer_id]
    assert load == {topic: 1}
    new, load = intake.read([announced.envelope, b"junk"], [topic], START, anybody)
    assert new == []
    assert load == {topic: 1}
    assert sum(intake.junk.values()) == 1


def test_an_announcement_under_a_key_that_is_not_its_own_is_junk():
    intake = Intake(MANIFEST, LIMITS)
    announced, _ = announced_record(MANIFEST, key(1), 1, START)
    new, _ = intake.read(
        [announced.envelope], [Topic(ROUND - 1, announced.announcement.task_id, 0)], START, anybody
    )
    assert new == []
    assert intake.junk == {"topic": 1}
    own = Topic(ROUND, announced.announcement.task_id, 0)
    new, _ = intake.read([announced.envelope], [own], START, anybody)
    assert new == [announced]  # under its own key it is as good as ever


def test_one_publishers_flood_is_no_load_that_shards_could_spread():
    intake = Intake(MANIFEST, LIMITS)
    flood = [announced_record(MANIFEST, key(1), 3 * n, START)[0] for n in range(40)]
    topic = Topic(ROUND, flood[0].announcement.task_id, 0)
    _, load = intake.read([a.envelope for a in flood], [topic], START, anybody)
    assert load[topic] == LIMITS.shard_entries_target < CROWDED


def test_only_contacts_load_a_key():
    intake = Intake(MANIFEST, LIMITS)
    record = make_record(MANIFEST, 3, START)
    many = [announce(key(n), record, b"body %d" % n) for n in range(64)]
    topic = Topic(ROUND, record.task.task_id, 0)
    close = {key(n).peer_id for n in range(3)}
    for _ in range(2):
        _, load = intake.read(many, [topic], START, lambda peer: peer in close)
        assert load[topic] == 3


def test_a_contact_is_read_where_it_publishes_however_wide_that_is():
    contacts = Contacts(LIMITS)
    other = key(5)
    contacts.connected({other.peer_id: "/ip4/10.0.0.5/tcp/1"}, START)
    read = reader(contacts)
    for number in range(6):
        record = make_record(MANIFEST, number, START)
        shard = shard_of(other.peer_id, record.task.task_id, 64)
        contacts.announced(
            verify_announcement(announce(other, record, b"body", shard=shard), manifest=MANIFEST, now=START)
        )
    theirs = {
        announcement_key(SWARM, r, t.task_id, shard_of(other.peer_id, t.task_id, 64))
        for r in range(ROUND - LIMITS.read_rounds_back, ROUND + 1)
        for t in MANIFEST.tasks
    }
    found = read_often(read, 60)
    assert sum(k in theirs for k in found) >= 0.4 * len(found)


def test_a_contact_that_was_never_read_is_looked_for_under_every_count():
    contacts = Contacts(LIMITS)
    other = key(5)
    contacts.connected({other.peer_id: "/ip4/10.0.0.5/tcp/1"}, START)
    theirs = {
        announcement_key(SWARM, r, t.task_id, shard_of(other.peer_id, t.task_id, 64))
        for r in range(ROUND - LIMITS.read_rounds_back, ROUND + 1)
        for t in MANIFEST.tasks
    }
    found = read_often(reader(contacts), 100)
    assert sum(k in theirs for k in found) >= 10


def read_often(read: Reader, times: int) -> list[bytes]:
    found: list[bytes] = []
    for _ in range(times):
        found += read.keys(100, 1, START)
        read.timer.wake()
    return found


# Shards ----------------------------------------------------------------------------------------------


def test_the_count_is_a_power_of_two_that_keeps_a_key_near_its_target():
    shards = ShardCount(MANIFEST, LIMITS)
    share = 2 / 4  # the heaviest of three tasks with weights 1, 2, 1
    for swarm_size in (1, 4, 10, 33, 100, 300):
        shards.update(ROUND, swarm_size, 4)
        assert shards.publish & (shards.publish - 1) == 0
        expected = swarm_size * 4 * share / shards.publish
        assert expected <= LIMITS.shard_entries_target
        assert shards.publish == 1 or expected > LIMITS.shard_entries_target / 2


def test_a_huge_swarm_stays_within_the_protocols_shards_and_shares_them():
    shards = ShardCount(MANIFEST, LIMITS)
    shards.update(ROUND, 100_000, 64)
    assert shards.publish == SHARDS_MAX
    assert shards.fair_share(100_000, 64) == 1
    assert shards.fair_share(128, 64) == 32
    assert shards.fair_share(4, 64) == 64


def test_announcing_is_spread_in_time_only_once_half_of_all_shards_are_in_use():
    shards = ShardCount(MANIFEST, LIMITS)
    shards.update(ROUND, 75, 4)
    assert shards.publish == SHARDS_MAX / 4
    assert shards.spread_s == 0.0
    shards.update(ROUND, 150, 4)
    assert shards.publish == SHARDS_MAX / 2
    assert shards.spread_s == LIMITS.spread_rounds * MANIFEST.round_seconds


def test_crowded_keys_double_the_count_once_a_round_and_sparse_ones_halve_it():
    shards = ShardCount(MANIFEST, LIMITS)
    counts = []
    for round_, load in enumerate([CROWDED, CROWDED, 10, 1, 1, 1, 1]):
        shards.update(round_, 1, 1)
        counts.append(shards.publish)
        shards.observe(load)
        shards.observe(0)
    assert counts == [1, 2, 4, 4, 2, 1, 1]


def test_a_trainer_that_waits_for_groups_is_not_kept_waiting_longer_than_a_few_steps():
    reading, now = reader(), START
    for step_seconds, slowest in ((0.5, LIMITS.read_interval_s_hungry), (12.0, 12.0), (300.0, 30.0)):
        reading.demand(step_seconds)
        for _ in range(6):
            while not reading.keys(1, 1, now):
                now += 1
            reading.answered(0, now)
        assert not reading.due(now + slowest - 0.5)
        assert reading.due(now + slowest)
