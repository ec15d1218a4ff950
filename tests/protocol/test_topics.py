"""DHT keys and shards: derived alike by everybody, distinct for distinct things, nested for every count."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import (
    MEMBERSHIP_SHARDS,
    MEMBERSHIP_SHARDS_MAX,
    SHARD_ENTRIES_MAX,
    SHARDS_MAX,
    InvalidLocal,
    KeyPair,
    PeerId,
    RejectedRecord,
    announcement_key,
    body_key,
    membership_key,
    peer_id_from_public_key,
    publisher_key,
    shard_of,
    status_keys,
)

PEERS = [KeyPair.from_seed(number.to_bytes(32, "big")).peer_id for number in range(64)]
digests = st.binary(min_size=32, max_size=32)
announcement_topics = st.tuples(
    digests, st.integers(0, 2**53 - 1), st.binary(min_size=16, max_size=16), st.integers(0, SHARDS_MAX - 1)
)


@given(st.sampled_from(PEERS), st.binary(max_size=40), st.integers(0, 5))
def test_indices_nest_when_the_count_doubles(peer_id, salt, bits):
    few, many = 1 << bits, 2 << bits

    assert shard_of(peer_id, salt, many) % few == shard_of(peer_id, salt, few)
    assert 0 <= shard_of(peer_id, salt, many) < many


def test_peers_spread_over_the_shards():
    peers = [KeyPair.from_seed(number.to_bytes(32, "big")).peer_id for number in range(800)]
    entries = Counter(shard_of(peer_id, b"swarm", MEMBERSHIP_SHARDS) for peer_id in peers)

    assert set(entries) == set(range(MEMBERSHIP_SHARDS))
    assert max(entries.values()) <= 80  # 50 on average
    assert SHARD_ENTRIES_MAX * MEMBERSHIP_SHARDS >= 1000


@given(digests, st.sampled_from(PEERS))
def test_whoever_reads_all_shards_of_a_large_swarm_finds_a_status_under_each_of_its_keys(swarm, peer_id):
    keys = [membership_key(swarm, shard) for shard in range(MEMBERSHIP_SHARDS_MAX)]
    few, *_, many = found = [keys.index(key) for key in status_keys(swarm, peer_id)]

    assert few == shard_of(peer_id, swarm, MEMBERSHIP_SHARDS) < MEMBERSHIP_SHARDS
    assert [shard % MEMBERSHIP_SHARDS for shard in found] == [few] * 3
    assert many == shard_of(peer_id, swarm, MEMBERSHIP_SHARDS_MAX)


def test_the_salt_gives_a_peer_other_neighbours():
    def neighbours(salt: bytes) -> set[PeerId]:
        return {peer_id for peer_id in PEERS if shard_of(peer_id, salt, 4) == shard_of(PEERS[0], salt, 4)}

    assert neighbours(b"one") != neighbours(b"two")


@pytest.mark.parametrize("shards", [-2, 0, 3, 48, 2 * SHARDS_MAX])
def test_a_count_that_is_no_power_of_two_up_to_the_maximum_is_our_mistake(shards):
    with pytest.raises(InvalidLocal, match="power of two"):
        shard_of(PEERS[0], b"", shards)


def test_a_peer_id_that_is_none_is_rejected():
    with pytest.raises(RejectedRecord):
        shard_of(PeerId("12D3KooW"), b"", 4)


@given(announcement_topics, announcement_topics)
def test_announcement_keys_are_equal_only_for_equal_topics(one, other):
    assert (announcement_key(*one) == announcement_key(*other)) == (one == other)


@given(digests, digests, st.integers(0, MEMBERSHIP_SHARDS - 1))
def test_keys_of_different_kinds_never_meet(swarm, digest, shard):
    keys = {
        announcement_key(swarm, shard, digest[:16], shard),
        membership_key(swarm, shard),
        body_key(swarm, digest),
        publisher_key(swarm, peer_id_from_public_key(KeyPair.from_seed(digest).public_key)),
    }

    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}


@pytest.mark.parametrize(
    "ask",
    [
        lambda: announcement_key(bytes(31), 0, bytes(16), 0),
        lambda: announcement_key(bytes(32), -1, bytes(16), 0),
        lambda: announcement_key(bytes(32), 2**53, bytes(16), 0),
        lambda: announcement_key(bytes(32), 0, bytes(15), 0),
        lambda: announcement_key(bytes(32), 0, bytes(16), SHARDS_MAX),
        lambda: membership_key(bytes(33), 0),
        lambda: membership_key(bytes(32), MEMBERSHIP_SHARDS_MAX),
        lambda: body_key(bytes(32), bytes(20)),
        lambda: body_key(b"", bytes(32)),
        lambda: publisher_key(bytes(31), KeyPair.from_seed(bytes(32)).peer_id),
    ],
)
def test_a_topic_outside_its_bounds_is_our_mistake(ask):
    with pytest.raises(InvalidLocal):
        ask()
