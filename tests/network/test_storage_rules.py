"""What a storing node accepts: the pure half, for both networks; `test_network_hostile.py` has the wire."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import (
    Manifest,
    PeerId,
    Placement,
    Reason,
    body_key,
    dht_id,
    digest_of,
    place_announcement,
    place_body,
    place_status,
    publisher_key,
)
from swarmd.errors import NetworkError
from swarmd.network.rules import VERIFIED_MAX, StorageRules, place_all

NOW = 1_800_000_000.0


def accepts(rules: StorageRules, placement: Placement, now: float = NOW) -> bool:
    at = dht_id(placement.key)
    return rules.accept(at, placement.subkey, placement.value, placement.expires, now)


@pytest.fixture
def manifest(memory: Any) -> Manifest:
    memory.round = memory.manifest.round_at(NOW)
    return memory.manifest


@pytest.fixture
def placements(memory: Any, manifest: Manifest) -> list[Placement]:
    key = memory.key(1)
    body = memory.record(key, NOW)
    return [
        place_announcement(memory.announcement(key, body, NOW), manifest=manifest, now=NOW),
        place_status(memory.status(key, NOW), manifest=manifest, now=NOW),
        place_body(body, manifest=manifest, now=NOW),
    ]


def test_own_placements_are_accepted_until_they_expire(
    placements: list[Placement], manifest: Manifest
) -> None:
    rules = StorageRules(lambda: manifest)
    for placement in placements:
        assert accepts(rules, placement)
        assert accepts(rules, placement, placement.expires - 1)
        assert not accepts(rules, placement, placement.expires)


def test_another_key_subkey_or_expiry_is_refused_even_for_an_accepted_value(
    placements: list[Placement], manifest: Manifest
) -> None:
    rules = StorageRules(lambda: manifest)
    for one in placements:
        assert accepts(rules, one)
        at = dht_id(one.key)
        for other in placements:
            if one is not other:
                assert not rules.accept(dht_id(other.key), one.subkey, one.value, one.expires, NOW)
                assert not rules.accept(at, other.subkey, one.value, one.expires, NOW)
                assert not rules.accept(at, one.subkey, other.value, one.expires, NOW)
        assert not rules.accept(at, one.subkey, one.value, one.expires + 1, NOW)
        assert not rules.accept(one.key, one.subkey, one.value, one.expires, NOW)


def test_a_swarm_that_is_not_known_or_another_accepts_nothing(
    placements: list[Placement], manifest: Manifest
) -> None:
    for known in (None, manifest.model_copy(update={"name": "other"})):
        rules = StorageRules(lambda known=known: known)  # type: ignore[misc]
        assert not any(accepts(rules, placement) for placement in placements)


def test_a_body_that_does_not_belong_there_is_refused_before_it_is_read(
    memory: Any, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = memory.record(memory.key(1), NOW)
    other = manifest.model_copy(update={"name": "other"})
    rules = StorageRules(lambda: other)
    at = dht_id(body_key(other.swarm_id, digest_of(body)))
    assert rules.refusal(at, None, body, NOW + 60, NOW) is Reason.TOPIC, "a record of another swarm"
    monkeypatch.setattr("swarmd.network.rules.check_stored", None)
    elsewhere = dht_id(body_key(manifest.swarm_id, digest_of(body)))
    for teller in (None, memory.key(2).peer_id):
        found = rules.refusal(elsewhere, None, body, NOW + 60, NOW, teller)
        assert found is Reason.SWARM, "sound in the swarm that its key names, which an honest peer may be in"


def test_only_the_publisher_is_believed_under_its_own_key_and_nobody_stores_there(
    memory: Any, placements: list[Placement], manifest: Manifest
) -> None:
    rules = StorageRules(lambda: manifest)
    publisher, another = memory.key(1).peer_id, memory.key(2).peer_id
    own = dht_id(publisher_key(manifest.swarm_id, publisher))
    announced, *others = placements

    def refusal(one: Placement, teller: PeerId | None) -> Reason | None:
        return rules.refusal(own, one.subkey, one.value, one.expires, NOW, teller)

    assert refusal(announced, publisher) is None
    assert refusal(announced, another) is Reason.TOPIC
    assert refusal(announced, None) is Reason.TOPIC, "also once it was believed"
    assert {refusal(one, publisher) for one in others} == {Reason.TOPIC}


def test_what_was_accepted_in_one_swarm_is_not_known_in_another(
    placements: list[Placement], manifest: Manifest
) -> None:
    swarms = [manifest]
    rules = StorageRules(lambda: swarms[-1])
    assert all(accepts(rules, placement) for placement in placements)
    swarms.append(manifest.model_copy(update={"name": "other"}))
    assert not any(accepts(rules, placement) for placement in placements)


def test_what_is_remembered_as_verified_is_bounded(memory: Any, manifest: Manifest) -> None:
    rules = StorageRules(lambda: manifest)
    rules._verified.update((number.to_bytes(4, "big"), None) for number in range(VERIFIED_MAX))
    placed = place_status(memory.status(memory.key(1), NOW), manifest=manifest, now=NOW)
    assert accepts(rules, placed)
    assert len(rules._verified) == VERIFIED_MAX


def test_own_things_that_everybody_would_refuse_are_left_out(memory: Any, manifest: Manifest) -> None:
    key = memory.key(1)
    good = memory.status(key, NOW)
    late = memory.status(key, NOW - 5_000)
    placed = place_all(place_status, [late, b"", good, good[:-1]], manifest=manifest, now=NOW)
    assert [placement.value for placement in placed] == [good]
    with pytest.raises(NetworkError, match="before the swarm is known"):
        place_all(place_status, [good], manifest=None, now=NOW)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    key=st.binary(max_size=40),
    subkey=st.one_of(st.none(), st.binary(max_size=80)),
    value=st.binary(max_size=200),
    expires=st.floats(allow_nan=True, allow_infinity=True),
)
def test_nothing_forged_is_accepted_and_nothing_raised(
    manifest: Manifest, key: bytes, subkey: bytes | None, value: bytes, expires: float
) -> None:
    rules = StorageRules(lambda: manifest)
    for end in (expires, NOW + 60):
        assert not rules.accept(key, subkey, value, end, NOW)
