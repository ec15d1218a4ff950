"""The storage rule: a signed thing is accepted where it belongs, for as long as it says, and nowhere else."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol import (
    MEMBERSHIP_SHARDS,
    KeyPair,
    Placement,
    Reason,
    RejectedRecord,
    announcement_key,
    body_key,
    check_stored,
    check_told,
    dht_id,
    digest_of,
    membership_key,
    place_announcement,
    place_body,
    place_status,
    publisher_key,
    shard_of,
    sign_announcement,
    sign_record,
    sign_status,
)


@pytest.fixture(scope="module")
def placed(publisher, manifest, record, announcement, status) -> list[Placement]:
    now = record.created
    return [
        place_announcement(sign_announcement(publisher, announcement), manifest=manifest, now=now),
        place_status(sign_status(publisher, status), manifest=manifest, now=now),
        place_body(sign_record(publisher, record), manifest=manifest, now=now),
    ]


def reason_of(placement: Placement, manifest, now: float, **changes) -> Reason | None:
    asked = {
        "stored_at": dht_id(placement.key),
        "subkey": placement.subkey,
        "value": placement.value,
        "expiry": placement.expires,
    }
    try:
        check_stored(**asked | changes, manifest=manifest, now=now)
    except RejectedRecord as rejected:
        return rejected.reason
    return None


def test_everything_belongs_under_the_key_and_subkey_of_its_contents(
    placed, publisher, manifest, record, announcement, status
):
    swarm, peer = manifest.swarm_id, publisher.peer_id.encode()
    announced, member, body = placed

    assert announced.key == announcement_key(swarm, record.round, announcement.task_id, announcement.shard)
    assert announced.subkey == peer + announcement.digest[:8]
    assert member.key == membership_key(swarm, shard_of(publisher.peer_id, swarm, MEMBERSHIP_SHARDS))
    assert member.subkey == peer
    assert body.key == body_key(swarm, digest_of(body.value))
    assert body.subkey is None
    assert [one.expires for one in placed] == [announcement.expires, status.expires, record.expires]


def test_a_publisher_may_tell_its_own_announcements_and_nothing_else(placed, publisher, manifest, record):
    def told(one: Placement, teller: str, now: float = record.created, **changes) -> Reason | None:
        asked = {"subkey": one.subkey, "value": one.value, "expiry": one.expires} | changes
        try:
            check_told(teller, **asked, manifest=manifest, now=now)
        except RejectedRecord as rejected:
            return rejected.reason
        return None

    announced, member, body = placed
    another = KeyPair.from_seed(bytes(32)).peer_id
    assert told(announced, publisher.peer_id) is None
    assert told(announced, another) is Reason.TOPIC
    assert told(member, publisher.peer_id) is Reason.TOPIC
    assert told(body, publisher.peer_id) is Reason.TOPIC
    assert told(announced, publisher.peer_id, subkey=announced.subkey[:-1] + b"x") is Reason.TOPIC
    assert told(announced, publisher.peer_id, announced.expires) is Reason.EXPIRED
    assert told(announced, publisher.peer_id, expiry=announced.expires + 1) is Reason.LIFETIME


def test_nobody_stores_under_a_publishers_own_key(placed, publisher, manifest, record):
    own = dht_id(publisher_key(manifest.swarm_id, publisher.peer_id))
    assert reason_of(placed[0], manifest, record.created, stored_at=own) is Reason.TOPIC


def test_what_was_placed_is_accepted_until_it_expires(placed, manifest, record):
    for one in placed:
        for now in (record.created, one.expires - 0.001):
            assert reason_of(one, manifest, now) is None
        assert reason_of(one, manifest, one.expires) is Reason.EXPIRED


def test_nothing_is_accepted_in_the_place_or_with_the_contents_of_another(placed, manifest, record):
    for one in placed:
        for other in placed:
            if one is not other:
                assert reason_of(one, manifest, record.created, stored_at=dht_id(other.key)) is Reason.TOPIC
                assert reason_of(one, manifest, record.created, value=other.value) is not None
                assert reason_of(one, manifest, record.created, subkey=other.subkey) is not None


@pytest.mark.parametrize("shards", [16, 32, 64])
def test_a_status_may_be_among_more_shards_in_a_large_swarm(publisher, manifest, status, shards):
    now, envelope = status.created, sign_status(publisher, status)
    one = place_status(envelope, manifest=manifest, now=now, shards=shards)
    swarm = manifest.swarm_id

    assert one.key == membership_key(swarm, shard_of(publisher.peer_id, swarm, shards))
    assert reason_of(one, manifest, now) is None


def test_a_status_is_refused_under_every_other_key_of_the_members(publisher, manifest, status):
    now, swarm = status.created, manifest.swarm_id
    one = place_status(sign_status(publisher, status), manifest=manifest, now=now)
    accepted = {
        shard
        for shard in range(64)
        if reason_of(one, manifest, now, stored_at=dht_id(membership_key(swarm, shard))) is None
    }

    assert accepted == {shard_of(publisher.peer_id, swarm, shards) for shards in (16, 32, 64)}


def test_nothing_is_accepted_in_another_swarm(placed, manifest, record):
    other = manifest.model_copy(update={"name": "other"})

    assert {reason_of(one, other, record.created) for one in placed} == {Reason.SWARM}


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        (float("nan"), Reason.EXPIRED),
        (float("-inf"), Reason.EXPIRED),
        (float("inf"), Reason.LIFETIME),
        (1e300, Reason.LIFETIME),
        (0.0, Reason.EXPIRED),
    ],
)
def test_an_expiry_that_no_clock_shows_is_refused(placed, manifest, record, expiry, expected):
    assert {reason_of(one, manifest, record.created, expiry=expiry) for one in placed} == {expected}


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_accepted_is_exactly_what_its_publisher_signed(placed, manifest, record, data):
    one = data.draw(st.sampled_from(placed))
    asked = {
        "stored_at": data.draw(
            st.sampled_from([dht_id(other.key) for other in placed]) | st.binary(max_size=33)
        ),
        "subkey": data.draw(st.sampled_from([other.subkey for other in placed]) | st.binary(max_size=61)),
        "expiry": data.draw(
            st.sampled_from([other.expires for other in placed])
            | st.floats(allow_nan=True)
            | st.just(one.expires)
        ),
    }
    accepted = reason_of(one, manifest, record.created, **asked) is None

    own = {"stored_at": dht_id(one.key), "subkey": one.subkey, "expiry": one.expires}
    assert accepted == (asked == own)
