"""Verification: received bytes become something verified, or one rejection with one reason."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import (
    CLOCK_SKEW_S_MAX,
    RECORD_LIFETIME_S_MAX,
    SHARDS_MAX,
    KeyPair,
    Reason,
    RejectedRecord,
    digest_of,
    shard_of,
    sign_announcement,
    sign_record,
    sign_status,
    verify_announcement,
    verify_record,
    verify_status,
)
from protocol.limits import ROUND_S_MAX


def reason_of(call, *args, **kwargs) -> Reason:
    with pytest.raises(RejectedRecord) as caught:
        call(*args, **kwargs)
    return caught.value.reason


def test_a_record_is_verified_with_its_publisher_and_digest(publisher, manifest, record):
    envelope = sign_record(publisher, record)
    verified = verify_record(
        envelope,
        manifest=manifest,
        now=record.created + 1,
        digest=digest_of(envelope),
        publisher=publisher.peer_id,
    )

    assert verified.record == record
    assert verified.publisher == publisher.peer_id
    assert verified.digest == digest_of(envelope)
    assert verified.envelope == envelope


def test_any_flipped_bit_of_any_kind_is_rejected(publisher, manifest, record, announcement, status):
    now = record.created + 1
    rng = random.Random(5)
    for envelope, verify in (
        (sign_record(publisher, record), lambda data: verify_record(data, manifest=manifest, now=now)),
        (
            sign_announcement(publisher, announcement),
            lambda data: verify_announcement(data, manifest=manifest, now=now),
        ),
        (sign_status(publisher, status), lambda data: verify_status(data, swarm=manifest.swarm_id, now=now)),
    ):
        verify(envelope)
        for bit in rng.sample(range(len(envelope) * 8), 1000):
            flipped = bytearray(envelope)
            flipped[bit // 8] ^= 1 << bit % 8
            with pytest.raises(RejectedRecord):
                verify(bytes(flipped))


@given(st.binary(max_size=600))
def test_arbitrary_bytes_are_rejected_and_nothing_else_is_raised(manifest, data):
    for verify in (
        lambda: verify_record(data, manifest=manifest, now=0.0),
        lambda: verify_announcement(data, manifest=manifest, now=0.0),
        lambda: verify_status(data, swarm=manifest.swarm_id, now=0.0),
    ):
        with pytest.raises(RejectedRecord):
            verify()


@given(st.data())
@settings(max_examples=60)
def test_spliced_envelopes_are_rejected(publisher, manifest, record, announcement, data):
    one, other = sign_record(publisher, record), sign_announcement(publisher, announcement)
    cut, resume = data.draw(st.integers(0, len(one) - 1)), data.draw(st.integers(0, len(other)))

    with pytest.raises(RejectedRecord):
        verify_record(one[:cut] + other[resume:], manifest=manifest, now=record.created)


def test_kinds_do_not_pass_for_one_another(publisher, manifest, record, announcement, status):
    now = record.created
    kinds = [
        sign_record(publisher, record),
        sign_announcement(publisher, announcement),
        sign_status(publisher, status),
    ]
    verifiers = [
        lambda data: verify_record(data, manifest=manifest, now=now),
        lambda data: verify_announcement(data, manifest=manifest, now=now),
        lambda data: verify_status(data, swarm=manifest.swarm_id, now=now),
    ]

    for row, verify in enumerate(verifiers):
        for column, data in enumerate(kinds):
            if row != column:
                expected = {Reason.SIZE, Reason.PAYLOAD_TYPE}
                assert reason_of(verify, data) in expected


def test_the_same_payload_by_another_peer_is_another_publisher(publisher, manifest, record):
    other = KeyPair.from_seed(bytes(32))
    envelope = sign_record(other, record)

    assert verify_record(envelope, manifest=manifest, now=record.created).publisher == other.peer_id
    assert Reason.PUBLISHER is reason_of(
        verify_record, envelope, manifest=manifest, now=record.created, publisher=publisher.peer_id
    )


def test_the_digest_is_compared_before_any_work_is_done(manifest):
    assert Reason.DIGEST is reason_of(verify_record, b"junk", manifest=manifest, now=0.0, digest=bytes(32))


@pytest.mark.parametrize(
    ("seconds_after_creation", "expected"),
    [
        (-300, Reason.CLOCK),
        (-CLOCK_SKEW_S_MAX - 0.5, Reason.CLOCK),
        (-CLOCK_SKEW_S_MAX, None),
        (0, None),
        (599.9, None),
        (600, Reason.EXPIRED),
        (3_600, Reason.EXPIRED),
    ],
)
def test_the_receivers_clock_decides(publisher, manifest, record, status, seconds_after_creation, expected):
    now = record.created + seconds_after_creation
    as_long = status.model_copy(update={"expires": record.expires})

    for envelope, verify in (
        (sign_record(publisher, record), lambda data: verify_record(data, manifest=manifest, now=now)),
        (sign_status(publisher, as_long), lambda data: verify_status(data, swarm=manifest.swarm_id, now=now)),
    ):
        if expected is None:
            verify(envelope)
        else:
            assert reason_of(verify, envelope) is expected


def test_a_publisher_whose_clock_is_minutes_ahead_learns_that_it_is_the_clock(publisher, manifest, record):
    ahead = record.model_copy(
        update={
            "created": record.created + 180,
            "expires": record.expires + 180,
            "round": manifest.round_at(record.created + 180),
        }
    )

    with pytest.raises(RejectedRecord, match="180 s in the future: one of the two clocks is wrong"):
        verify_record(sign_record(publisher, ahead), manifest=manifest, now=record.created)


@pytest.mark.parametrize("rounds_off", [-1, 1, 1000])
def test_a_round_that_does_not_follow_from_the_time_is_rejected(publisher, manifest, record, rounds_off):
    envelope = sign_record(publisher, record.model_copy(update={"round": record.round + rounds_off}))

    assert Reason.ROUND is reason_of(verify_record, envelope, manifest=manifest, now=record.created)


def test_both_edges_of_a_round_belong_to_it(publisher, manifest, record):
    for created in (manifest.round_start(record.round), manifest.round_start(record.round + 1) - 1):
        moved = record.model_copy(update={"created": created, "expires": created + 60})
        assert verify_record(sign_record(publisher, moved), manifest=manifest, now=created).record == moved


def reason_at(publisher, manifest, announcement, now, **changes) -> Reason | None:
    envelope = sign_announcement(publisher, announcement.model_copy(update=changes))
    try:
        verify_announcement(envelope, manifest=manifest, now=now)
    except RejectedRecord as rejected:
        return rejected.reason
    return None


def test_an_announcement_cannot_claim_a_life_beyond_a_records(publisher, manifest, announcement):
    days = manifest.model_copy(update={"round_seconds": ROUND_S_MAX})
    now = days.round_start(3)
    longest = now + RECORD_LIFETIME_S_MAX + CLOCK_SKEW_S_MAX
    made = announcement.model_copy(update={"swarm": days.swarm_id, "round": 3})

    assert reason_at(publisher, days, made, now, expires=longest) is None
    assert reason_at(publisher, days, made, now, expires=longest + 1) is Reason.LIFETIME


def test_an_announcement_is_of_a_round_that_began(publisher, manifest, announcement):
    start = manifest.round_start(announcement.round)

    assert reason_at(publisher, manifest, announcement, start - CLOCK_SKEW_S_MAX) is None
    assert reason_at(publisher, manifest, announcement, start - CLOCK_SKEW_S_MAX - 0.5) is Reason.CLOCK
    for ahead in (3, 1_000, 2**53 - 1 - announcement.round):
        found = reason_at(publisher, manifest, announcement, start, round=announcement.round + ahead)
        assert found is Reason.CLOCK


@pytest.mark.parametrize(("round_seconds", "lifetime"), [(15, 900), (600, 4_800), (86_400, 21_600)])
def test_an_announcement_ends_within_minutes_or_a_few_rounds_of_its_own(
    publisher, manifest, announcement, round_seconds, lifetime
):
    slow = manifest.model_copy(update={"round_seconds": round_seconds})
    made = announcement.model_copy(update={"swarm": slow.swarm_id, "round": 3})
    first, end = slow.round_start(3) + 1, slow.round_start(4) + lifetime
    assert end == slow.announced_until(3)

    for expires, expected in (
        (first - 1, Reason.LIFETIME),
        (first, None),
        (end - 1, None),
        (end, Reason.LIFETIME),
    ):
        now = max(expires - 20, first - CLOCK_SKEW_S_MAX)  # near enough for no other bound to be met
        assert reason_at(publisher, slow, made, now, expires=expires) is expected


def test_an_announcement_lies_in_one_of_its_publishers_nested_shards(publisher, manifest, announcement):
    accepted = set()
    for shard in range(SHARDS_MAX):
        envelope = sign_announcement(publisher, announcement.model_copy(update={"shard": shard}))
        try:
            verify_announcement(envelope, manifest=manifest, now=announcement.expires - 1)
        except RejectedRecord as rejected:
            assert rejected.reason is Reason.TOPIC  # noqa: PT017  the others are counted
        else:
            accepted.add(shard)

    counts = [1 << bits for bits in range(7)]
    assert accepted == {shard_of(publisher.peer_id, announcement.task_id, count) for count in counts}


def test_things_of_another_manifest_are_of_another_swarm(publisher, manifest, record, announcement, status):
    other, now = manifest.model_copy(update={"name": "other"}), record.created

    for envelope, verify in (
        (sign_record(publisher, record), lambda data: verify_record(data, manifest=other, now=now)),
        (
            sign_announcement(publisher, announcement),
            lambda data: verify_announcement(data, manifest=other, now=now),
        ),
        (sign_status(publisher, status), lambda data: verify_status(data, swarm=other.swarm_id, now=now)),
    ):
        assert reason_of(verify, envelope) is Reason.SWARM


def test_a_task_that_the_manifest_does_not_list_is_rejected(publisher, manifest, record):
    for change in ({"dataset": "lcm"}, {"config": '{"a":1}'}, {"version": "9"}, {"source": "elsewhere"}):
        task = record.task.model_copy(update=change)
        envelope = sign_record(publisher, record.model_copy(update={"task": task}))
        assert Reason.TASK is reason_of(verify_record, envelope, manifest=manifest, now=record.created)
