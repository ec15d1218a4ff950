"""What a storing node accepts: the pure half, of both networks; `test_network_hostile.py` has the wire."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import SHARDS_MAX, ProtocolError, announcement_key, shard_of
from swarmd.errors import NetworkError
from swarmd.network.rules import (
    VERIFIED_MAX,
    Placement,
    StorageRules,
    place_all,
    place_announcement,
    place_body,
    place_status,
)

NOW = 1_800_000_000.0


def accepts(rules: StorageRules, placement: Placement, now: float = NOW) -> bool:
    return rules.accept(placement.key, placement.subkey, placement.value, placement.expires, now)


@pytest.fixture
def swarm(memory: Any) -> bytes:
    return memory.manifest.swarm_id


@pytest.fixture
def placements(memory: Any, swarm: bytes) -> list[Placement]:
    key = memory.key(1)
    body = memory.record(key, NOW)
    return [
        place_announcement(memory.announcement(key, body, NOW), now=NOW, swarm=swarm),
        place_status(memory.status(key, NOW), now=NOW, swarm=swarm),
        place_body(body, now=NOW, swarm=swarm),
    ]


def test_own_placements_are_accepted_until_they_expire(placements: list[Placement], swarm: bytes) -> None:
    rules = StorageRules(lambda: swarm)
    for placement in placements:
        assert accepts(rules, placement)
        assert accepts(rules, placement, placement.expires - 1)
        assert not accepts(rules, placement, placement.expires)


def test_another_place_name_or_end_is_refused(placements: list[Placement], swarm: bytes) -> None:
    rules = StorageRules(lambda: swarm)
    for one in placements:
        for other in placements:
            if one is not other:
                assert not rules.accept(other.key, one.subkey, one.value, one.expires, NOW)
                assert not rules.accept(one.key, other.subkey, one.value, one.expires, NOW)
                assert not rules.accept(one.key, one.subkey, other.value, one.expires, NOW)
        assert not rules.accept(one.key, one.subkey, one.value, one.expires + 1, NOW)
        assert accepts(rules, one)


def test_a_swarm_that_is_not_known_or_another_accepts_nothing(placements: list[Placement]) -> None:
    for swarm in (None, bytes(32)):
        assert not any(
            accepts(StorageRules(lambda swarm=swarm: swarm), placement) for placement in placements
        )


def test_the_key_is_compared_as_the_transport_hashes_it(placements: list[Placement], swarm: bytes) -> None:
    rules = StorageRules(lambda: swarm, hash_key=lambda key: key[::-1])
    for one in placements:
        assert not accepts(rules, one)
        assert rules.accept(one.key[::-1], one.subkey, one.value, one.expires, NOW)


def test_what_is_remembered_as_verified_is_bounded(memory: Any, swarm: bytes) -> None:
    rules = StorageRules(lambda: swarm)
    rules._verified.update((number.to_bytes(4, "big"), None) for number in range(VERIFIED_MAX))
    placed = place_status(memory.status(memory.key(1), NOW), now=NOW, swarm=swarm)
    assert accepts(rules, placed)
    assert len(rules._verified) == VERIFIED_MAX


def test_a_publisher_announces_only_in_its_own_shards(memory: Any, swarm: bytes) -> None:
    key, task = memory.key(1), memory.manifest.tasks[0].task_id
    body = memory.record(key, NOW)
    own = {shard_of(key.peer_id, task, 2**power) for power in range(7)}
    for shard in range(SHARDS_MAX):
        envelope = memory.announcement(key, body, NOW, shard=shard)
        if shard in own:
            placement = place_announcement(envelope, now=NOW, swarm=swarm)
            assert placement.key == announcement_key(swarm, 7, task, shard)
        else:
            with pytest.raises(ProtocolError, match="never this publisher's"):
                place_announcement(envelope, now=NOW, swarm=swarm)


def test_own_things_that_everybody_would_refuse_are_left_out(memory: Any, swarm: bytes) -> None:
    key = memory.key(1)
    good = memory.status(key, NOW)
    late = memory.status(key, NOW - 5_000)
    placed = place_all(place_status, [late, b"", good, good[:-1]], now=NOW, swarm=swarm)
    assert [placement.value for placement in placed] == [good]
    with pytest.raises(NetworkError, match="before the swarm is known"):
        place_all(place_status, [good], now=NOW, swarm=None)


@settings(max_examples=100)
@given(
    key=st.binary(max_size=40),
    subkey=st.one_of(st.none(), st.binary(max_size=80)),
    value=st.binary(max_size=200),
    expires=st.floats(allow_nan=True, allow_infinity=True),
)
def test_nothing_forged_is_accepted_and_nothing_raised(
    key: bytes, subkey: bytes | None, value: bytes, expires: float
) -> None:
    rules = StorageRules(lambda: bytes(32))
    for end in (expires, NOW + 60):
        assert not rules.accept(key, subkey, value, end, NOW)
