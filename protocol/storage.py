"""What the DHT stores: where each signed envelope belongs, and which are accepted there (SPEC section 7.5).

A storing node applies `check_stored` to what it is asked to hold, and a reader to what it receives. Nobody
can therefore store under another peer's name, extend the life that a publisher signed, or hide a dictionary
behind a plain value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from protocol.errors import Reason, RejectedRecord
from protocol.keys import PEER_ID_BYTES, PeerId
from protocol.limits import CLOCK_SKEW_S_MAX, MEMBERSHIP_SHARDS, RECORD_LIFETIME_S_MAX
from protocol.manifest import Manifest
from protocol.topics import announcement_key, body_key, dht_id, membership_key, shard_of, status_keys
from protocol.verify import verify_announcement, verify_record, verify_status

_DIGEST_PREFIX_BYTES = 8
"""Bytes of a digest in an announcement's subkey. They need to be unique only among one publisher's records.
"""

_ANNOUNCEMENT_SUBKEY_BYTES = PEER_ID_BYTES + _DIGEST_PREFIX_BYTES


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an envelope is stored: DHT key, subkey (None for a plain value) and expiry in Unix seconds."""

    key: bytes
    subkey: bytes | None
    value: bytes
    expires: float


class Place(Protocol):
    """The type of the three functions below."""

    __name__: str

    def __call__(self, envelope: bytes, *, manifest: Manifest, now: float) -> Placement: ...


def place_announcement(envelope: bytes, *, manifest: Manifest, now: float) -> Placement:
    """Return where an announcement belongs. Raises RejectedRecord unless `verify_announcement` accepts it."""
    verified = verify_announcement(envelope, manifest=manifest, now=now)
    announcement = verified.announcement
    return Placement(
        announcement_key(announcement.swarm, announcement.round, announcement.task_id, announcement.shard),
        verified.publisher.encode() + announcement.digest[:_DIGEST_PREFIX_BYTES],
        envelope,
        float(announcement.expires),
    )


def place_status(
    envelope: bytes, *, manifest: Manifest, now: float, shards: int = MEMBERSHIP_SHARDS
) -> Placement:
    """Return where a status belongs among `shards`, a power of two from MEMBERSHIP_SHARDS to
    MEMBERSHIP_SHARDS_MAX. Raises RejectedRecord unless `verify_status` accepts it.
    """
    verified = verify_status(envelope, swarm=manifest.swarm_id, now=now)
    status = verified.status
    shard = shard_of(verified.publisher, status.swarm, shards)
    key = membership_key(status.swarm, shard)
    return Placement(key, verified.publisher.encode(), envelope, float(status.expires))


def place_body(envelope: bytes, *, manifest: Manifest, now: float) -> Placement:
    """Return where a record's body belongs. Raises RejectedRecord unless `verify_record` accepts it."""
    verified = verify_record(envelope, manifest=manifest, now=now)
    key = body_key(manifest.swarm_id, verified.digest)
    return Placement(key, None, envelope, float(verified.record.expires))


def check_stored(
    stored_at: bytes,
    subkey: bytes | None,
    value: bytes,
    expiry: float,
    *,
    manifest: Manifest,
    now: float,
) -> None:
    """Check that `value` can be stored here, and believed when it is read. Raises RejectedRecord otherwise.

    `stored_at`: the `dht_id` of its key. `subkey`: None for a plain value. `expiry`: Unix seconds as held by
    the DHT; any number, including NaN and infinities. The order of the checks is that of SPEC section 7.5.
    """
    placement = _placed(subkey, value, expiry, manifest, now)
    if placement.subkey != subkey or stored_at not in map(dht_id, _keys_of(placement, manifest)):
        raise RejectedRecord(Reason.TOPIC, "key and subkey do not follow from the contents")
    _check_expiry(placement, expiry)


def check_told(
    publisher: PeerId, subkey: bytes | None, value: bytes, expiry: float, *, manifest: Manifest, now: float
) -> None:
    """Check what `publisher` tells of itself under its own key: its announcements. Raises RejectedRecord.

    The arguments are those of `check_stored`, and so is the order of the checks. No node stores such an entry
    for another.
    """
    placement = _placed(subkey, value, expiry, manifest, now)
    is_announcement = subkey is not None and len(subkey) == _ANNOUNCEMENT_SUBKEY_BYTES
    signer = b"" if placement.subkey is None else placement.subkey[:PEER_ID_BYTES]
    if not is_announcement or placement.subkey != subkey or signer != publisher.encode():
        raise RejectedRecord(Reason.TOPIC, "not an announcement of the peer that was asked")
    _check_expiry(placement, expiry)


def _placed(subkey: bytes | None, value: bytes, expiry: float, manifest: Manifest, now: float) -> Placement:
    place = _place_for(subkey)
    if not now < expiry:
        raise RejectedRecord(Reason.EXPIRED, f"expiry {expiry} is not in the future")
    if expiry > now + RECORD_LIFETIME_S_MAX + CLOCK_SKEW_S_MAX:
        raise RejectedRecord(Reason.LIFETIME, f"expiry {expiry} is later than any record can expire")
    return place(value, manifest=manifest, now=now)


def _keys_of(placement: Placement, manifest: Manifest) -> tuple[bytes, ...]:
    """Return the keys under which a placed value can be stored. Only a status has more than one."""
    if placement.subkey is None or len(placement.subkey) != PEER_ID_BYTES:
        return (placement.key,)
    return status_keys(manifest.swarm_id, PeerId(placement.subkey.decode()))


def _check_expiry(placement: Placement, expiry: float) -> None:
    if placement.expires != expiry:
        raise RejectedRecord(Reason.LIFETIME, f"stored until {expiry}, signed until {placement.expires:.0f}")


def _place_for(subkey: bytes | None) -> Place:
    if subkey is None:
        return place_body
    if len(subkey) == PEER_ID_BYTES:
        return place_status
    if len(subkey) == _ANNOUNCEMENT_SUBKEY_BYTES:
        return place_announcement
    raise RejectedRecord(Reason.TOPIC, f"no kind of value has a subkey of {len(subkey)} bytes")
