"""Which keys are read, how often, and how many shards there are."""

from __future__ import annotations

import random

from protocol import SHARDS_MAX, announcement_key
from swarmd.gossip import GossipLimits
from swarmd.gossip.intake import Intake
from swarmd.gossip.reading import Reader, Topic
from swarmd.gossip.shards import CROWDED, ShardCount
from tests.gossip.making import START, announced_record, key, make_manifest

LIMITS = GossipLimits()
MANIFEST = make_manifest()
SWARM = MANIFEST.swarm_id
ROUND = MANIFEST.round_at(START)


def reader() -> Reader:
    return Reader(SWARM, MANIFEST, LIMITS, random.Random(1))


def test_the_keys_are_those_of_recent_rounds_the_swarms_tasks_and_the_shards():
    known = {
        announcement_key(SWARM, round_, task.task_id, shard)
        for round_ in range(ROUND - LIMITS.read_rounds_back, ROUND + 1)
        for task in MANIFEST.tasks
        for shard in range(8)
    }
    read = reader()
    for second in range(0, 100, 2):
        keys = read.keys(100, 4, START)
        read.timer.wake()
        assert 0 < len(keys) <= LIMITS.read_keys_max
        assert len(set(keys)) == len(keys)
        assert set(keys) <= known, second


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


def test_reads_that_bring_nothing_become_rare_and_news_makes_them_frequent_again():
    read = reader()
    pauses = []
    now = START
    for found in (0, 0, 0, 0, 0, 3):
        read.keys(8, 1, now)
        read.answered(found, now)
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


def test_before_genesis_there_is_nothing_to_read():
    assert reader().keys(5, 1, MANIFEST.genesis - 100) == ()


def test_an_envelope_is_verified_once_and_junk_is_counted_once():
    intake = Intake(MANIFEST, LIMITS)
    announced, _ = announced_record(MANIFEST, key(1), 1, START)
    topic = Topic(ROUND, announced.announcement.task_id, 0)
    new, load = intake.read([announced.envelope, b"junk"], [topic], START)
    assert [a.publisher for a in new] == [key(1).peer_id]
    assert load == {topic: 1}
    new, load = intake.read([announced.envelope, b"junk"], [topic], START)
    assert new == []
    assert load == {topic: 1}
    assert sum(intake.junk.values()) == 1


def test_an_announcement_under_a_key_that_is_not_its_own_is_junk():
    intake = Intake(MANIFEST, LIMITS)
    announced, _ = announced_record(MANIFEST, key(1), 1, START)
    new, _ = intake.read([announced.envelope], [Topic(ROUND - 1, announced.announcement.task_id, 0)], START)
    assert new == []
    assert intake.junk == {"topic": 1}
    own = Topic(ROUND, announced.announcement.task_id, 0)
    new, _ = intake.read([announced.envelope], [own], START)
    assert new == [announced]  # under its own key it is as good as ever


def test_one_publishers_flood_is_no_load_that_shards_could_spread():
    intake = Intake(MANIFEST, LIMITS)
    flood = [announced_record(MANIFEST, key(1), 3 * n, START)[0] for n in range(40)]
    topic = Topic(ROUND, flood[0].announcement.task_id, 0)
    _, load = intake.read([a.envelope for a in flood], [topic], START)
    assert load[topic] == LIMITS.shard_entries_target < CROWDED


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


def test_crowded_keys_double_the_count_once_a_round_and_sparse_ones_halve_it():
    shards = ShardCount(MANIFEST, LIMITS)
    counts = []
    for round_, load in enumerate([CROWDED, CROWDED, 10, 1, 1, 1, 1]):
        shards.update(round_, 1, 1)
        counts.append(shards.publish)
        shards.observe(0, load)
        shards.observe(0, 0)
    assert counts == [1, 2, 4, 4, 2, 1, 1]


def test_readers_look_as_wide_as_anybody_was_seen_to_publish():
    shards = ShardCount(MANIFEST, LIMITS)
    shards.update(1, 1, 1)
    assert (shards.publish, shards.read) == (1, 1)
    shards.observe(5, 3)
    assert (shards.publish, shards.read) == (1, 8)
    shards.update(2, 1, 1)
    assert shards.read == 8, "a round later still"
    shards.update(3, 1, 1)
    assert shards.read == 1
