"""Vectors of the storage rule: what storing nodes are asked to hold, and readers are given."""

from __future__ import annotations

from vector_subjects import (
    ALICE,
    ANNOUNCEMENT,
    ANNOUNCEMENT_KIND,
    BOB,
    FULL_STATUS,
    GCD,
    MANIFEST,
    NOW,
    OTHER_SWARM,
    RECORD,
    RECORD_KIND,
    STATUS,
    STATUS_KIND,
    Json,
    changed,
    sealed,
)

import protocol as p
from protocol import limits

_SKEW, _LIFE = limits.CLOCK_SKEW_S_MAX, limits.RECORD_LIFETIME_S_MAX


def storage_file() -> Json:
    return {
        "manifest": MANIFEST.to_bytes().hex(),
        "note": "a text as `expiry` is the double of that name",
        "valid": _valid(),
        "invalid": [
            *_wrong_subkeys_and_expiries(),
            *_unsound_values(),
            *_wrong_places(),
        ],
    }


def _body_of(record: p.Record = RECORD) -> p.Placement:
    key = p.body_key(record.swarm, p.digest_of(envelope := p.sign_record(ALICE, record)))
    return p.Placement(key, None, envelope, record.expires)


def _entry_of(announcement: p.Announcement = ANNOUNCEMENT, signer: p.KeyPair = ALICE) -> p.Placement:
    swarm, task = announcement.swarm, announcement.task_id
    key = p.announcement_key(swarm, announcement.round, task, announcement.shard)
    subkey = signer.peer_id.encode() + announcement.digest[:8]
    return p.Placement(key, subkey, p.sign_announcement(signer, announcement), announcement.expires)


def _member_of(
    status: p.PeerStatus = STATUS, signer: p.KeyPair = ALICE, shards: int = limits.MEMBERSHIP_SHARDS
) -> p.Placement:
    shard = p.shard_of(signer.peer_id, status.swarm, shards)
    key = p.membership_key(status.swarm, shard)
    return p.Placement(key, signer.peer_id.encode(), p.sign_status(signer, status), status.expires)


def _asked(name: str, placed: p.Placement, now: float = NOW, **changes: object) -> Json:
    """A vector that asks for `placed`, with parts of it replaced: key, subkey, value, expiry."""
    key = changes.get("key", placed.key)
    subkey = changes.get("subkey", placed.subkey)
    assert isinstance(key, bytes)
    return {
        "name": name,
        "now": now,
        "key": key.hex(),
        "stored_at": p.dht_id(key).hex(),
        "subkey": subkey.hex() if isinstance(subkey, bytes) else None,
        "value": changes.get("value", placed.value).hex(),  # type: ignore[attr-defined]
        "expiry": changes.get("expiry", int(placed.expires)),
    }


def _valid() -> list[Json]:
    body, entry, member = _body_of(), _entry_of(), _member_of()
    longest = RECORD.model_copy(
        update={"created": NOW, "expires": NOW + _LIFE, "round": MANIFEST.round_at(NOW)}
    )
    coming = MANIFEST.round_at(NOW + _SKEW)
    return [
        _asked("an inline body", body),
        _asked("an inline body, half a second before its end", body, RECORD.expires - 0.5),
        _asked(
            "an inline body of the longest life, its publisher's clock ahead", _body_of(longest), NOW - _SKEW
        ),
        _asked("an announcement", entry),
        _asked("an announcement, half a second before its end", entry, ANNOUNCEMENT.expires - 0.5),
        _asked(
            "an announcement of a round that begins within the skew",
            _entry_of(ANNOUNCEMENT.model_copy(update={"round": coming})),
        ),
        _asked("a status", member),
        _asked("a status of another publisher", _member_of(signer=BOB)),
        _asked("a status among 32 shards", _member_of(shards=32)),
        _asked("a status among 64 shards", _member_of(shards=64)),
    ]


def _wrong_subkeys_and_expiries() -> list[Json]:
    body, entry, member = _body_of(), _entry_of(), _member_of()

    def bad(name: str, reason: str, placed: p.Placement, now: float = NOW, **changes: object) -> Json:
        return _asked(name, placed, now, **changes) | {"reason": reason}

    cases = [
        bad("an empty subkey", "topic", member, subkey=b""),
        bad("a subkey of 51 bytes", "topic", member, subkey=member.subkey[:-1]),  # type: ignore[index]
        bad("a subkey of 53 bytes", "topic", member, subkey=member.subkey + b"1"),  # type: ignore[operator]
        bad("a subkey of 59 bytes", "topic", entry, subkey=entry.subkey[:-1]),  # type: ignore[index]
        bad("a subkey of 61 bytes", "topic", entry, subkey=entry.subkey + b"1"),  # type: ignore[operator]
        bad("a subkey of no length, and expired", "topic", entry, entry.expires, subkey=b"1"),
    ]
    for what, placed in (("an inline body", body), ("an announcement", entry), ("a status", member)):
        cases += [
            bad(f"{what} at its end", "expired", placed, placed.expires),
            bad(f"{what} with an expiry of NaN", "expired", placed, expiry="NaN"),
            bad(f"{what} with an expiry of minus infinity", "expired", placed, expiry="-Infinity"),
            bad(f"{what} with an infinite expiry", "lifetime", placed, expiry="Infinity"),
            bad(f"{what}, expiry beyond any record's", "lifetime", placed, expiry=NOW + _LIFE + _SKEW + 1),
            bad(f"{what} a second longer than signed", "lifetime", placed, expiry=int(placed.expires) + 1),
            bad(f"{what} half a second shorter than signed", "lifetime", placed, expiry=placed.expires - 0.5),
        ]
    return cases


def _unsound_values() -> list[Json]:
    """Each kind's own checks run, in their order; the rest of them is in that kind's file."""
    body, entry, member = _body_of(), _entry_of(), _member_of()

    def bad(name: str, reason: str, placed: p.Placement, value: bytes, now: float = NOW) -> Json:
        return _asked(name, placed, now, value=value) | {"reason": reason}

    def record(**fields: object) -> bytes:
        return sealed(RECORD_KIND, changed(RECORD, **fields))

    long, short = {"created": NOW - 60, "round": MANIFEST.round_at(NOW - 60)}, {"created": RECORD.expires}
    return [
        bad("nothing", "envelope", body, b""),
        bad("nothing under a status's subkey", "envelope", member, b""),
        _asked("a body above its size", body, value=b"")
        | {"zero_bytes": limits.RECORD_BYTES_MAX + 1, "reason": "size"},
        bad("an announcement above its size", "size", entry, entry.value + bytes(512)),
        bad("a status above its size", "size", member, member.value + bytes(4096)),
        bad("a status under an announcement's subkey", "payload_type", entry, member.value),
        bad("an announcement under a status's subkey", "payload_type", member, entry.value),
        bad("a full status", "payload_type", member, p.sign_full_status(ALICE, FULL_STATUS)),
        bad("an announcement as a plain value", "payload_type", body, entry.value),
        bad("a body under a status's subkey", "payload_type", member, body.value),
        bad("a forged signature", "signature", member, member.value[:-1] + bytes([member.value[-1] ^ 1])),
        bad("a body that is not CBOR", "encoding", body, sealed(RECORD_KIND, b"\xff")),
        bad("a body without its task", "schema", body, record(task=...)),
        bad("a body of another swarm", "swarm", body, record(swarm=OTHER_SWARM)),
        bad("a body of the future", "clock", body, body.value, RECORD.created - _SKEW - 1),
        bad("a body that lives too long", "lifetime", body, record(**long, expires=NOW - 60 + _LIFE + 1)),
        bad(
            "a body that expires when it was created", "lifetime", body, record(**short), RECORD.expires - 10
        ),
        bad("a body that expired, stored for longer", "expired", body, record(created=NOW - 60, expires=NOW)),
        bad("a body of the round before", "round", body, record(round=RECORD.round - 1)),
        bad(
            "a body of a task nobody trains on",
            "task",
            body,
            record(task=changed(RECORD.task, dataset="lcm")),
        ),
        bad("an announcement of another swarm", "swarm", entry, _altered(swarm=OTHER_SWARM)),
        bad("an announcement of the coming round", "clock", entry, _altered(round=RECORD.round + 4)),
        bad("an announcement of a round far ahead", "clock", entry, _altered(round=limits.INT_MAX)),
        bad("an announcement that expired, stored for longer", "expired", entry, _altered(expires=NOW)),
        bad("an announcement of a round long ago", "lifetime", entry, _altered(round=RECORD.round - 60)),
        bad("an announcement in nobody's shard", "topic", entry, _altered(shard=_not_alices_shard())),
        bad(
            "a status of another swarm",
            "swarm",
            member,
            sealed(STATUS_KIND, changed(STATUS, swarm=OTHER_SWARM)),
        ),
        bad("a status of the future", "clock", member, member.value, STATUS.created - _SKEW - 1),
    ]


def _wrong_places() -> list[Json]:
    body, entry, member, bobs = _body_of(), _entry_of(), _member_of(), _member_of(signer=BOB)
    announcement = ANNOUNCEMENT

    def bad(name: str, placed: p.Placement, **changes: object) -> Json:
        return _asked(name, placed, **changes) | {"reason": "topic"}

    other_shard = p.announcement_key(
        announcement.swarm, announcement.round, GCD.task_id, announcement.shard ^ 1
    )
    beside = p.shard_of(ALICE.peer_id, MANIFEST.swarm_id, limits.MEMBERSHIP_SHARDS) ^ 1
    other_round = p.announcement_key(
        announcement.swarm, announcement.round - 1, GCD.task_id, announcement.shard
    )
    other_task = p.announcement_key(announcement.swarm, announcement.round, bytes(16), announcement.shard)
    return [
        bad("a body under the key of its announcement", body, key=entry.key),
        bad("a body under the key of other bytes", body, key=p.body_key(MANIFEST.swarm_id, bytes(32))),
        bad(
            "a body under its key in another swarm",
            body,
            key=p.body_key(OTHER_SWARM, p.digest_of(body.value)),
        ),
        bad("an announcement under another shard", entry, key=other_shard),
        bad("an announcement under another round", entry, key=other_round),
        bad("an announcement under another task", entry, key=other_task),
        bad("an announcement under the members", entry, key=member.key),
        bad(
            "an announcement with another's peer id",
            entry,
            subkey=BOB.peer_id.encode() + announcement.digest[:8],
        ),
        bad("an announcement with another digest", entry, subkey=ALICE.peer_id.encode() + bytes(8)),
        bad("a status under another's shard", member, key=bobs.key),
        bad("a status under a shard of nobody", member, key=p.membership_key(MANIFEST.swarm_id, beside)),
        bad("a status with another's peer id", member, subkey=bobs.subkey),
        bad("another's status in its place", member, value=bobs.value),
    ]


def _altered(**fields: object) -> bytes:
    return sealed(ANNOUNCEMENT_KIND, changed(ANNOUNCEMENT, **fields))


def _not_alices_shard() -> int:
    own = {p.shard_of(ALICE.peer_id, GCD.task_id, 1 << bits) for bits in range(7)}
    return min(set(range(limits.SHARDS_MAX)) - own)
