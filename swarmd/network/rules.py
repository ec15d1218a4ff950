"""What a storing node accepts, and where a signed thing belongs. Pure: `now` is an argument.

1. A dictionary entry is a signed announcement or status of this swarm, under the DHT key derived from its
   own contents, under a subkey that begins with its publisher's peer id, until exactly the expiry it states.
   An announcement's shard is one that `shard_of` gives its publisher for some count of shards.
2. A plain value is a record of this swarm under the DHT key derived from its own SHA-256, until its expiry.
3. Nothing else is stored, and nothing at all while the swarm is not known yet.

So nobody can store under another's name, extend another's lifetime, or hide a dictionary behind junk. Every
implementation of `Network` applies these rules to what it stores and to what it reads.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from protocol import (
    ANNOUNCEMENT_BYTES_MAX,
    CLOCK_SKEW_S_MAX,
    MEMBERSHIP_SHARDS,
    RECORD_BYTES_MAX,
    RECORD_DOMAIN,
    RECORD_LIFETIME_S_MAX,
    RECORD_PAYLOAD_TYPE,
    STATUS_BYTES_MAX,
    ProtocolError,
    Reason,
    Record,
    RejectedRecord,
    announcement_key,
    body_key,
    digest_of,
    membership_key,
    open_envelope,
    shard_of,
    verify_announcement,
    verify_status,
)
from swarmd.errors import NetworkError

log = structlog.get_logger(__name__)

VERIFIED_MAX = 8_192
"""Entries remembered as verified (about 1 MB): every read meets each signature on 5 replicas, 0.2 ms each."""

_DIGEST_PREFIX_BYTES = 8
"""Of an announcement's digest in its subkey: a publisher's own records must not collide, others cannot."""

PEER_ID_BYTES = 52
"""Base58 characters of every Ed25519 peer id: every subkey begins with them, a status's has no more."""

_ENTRY_BYTES_MAX = max(ANNOUNCEMENT_BYTES_MAX, STATUS_BYTES_MAX)

SwarmId = Callable[[], bytes | None]
"""The swarm this peer belongs to; None until its manifest is known."""


@dataclass(frozen=True)
class Placement:
    """Where a signed thing is stored: DHT key, subkey (None for a plain value) and expiry in Unix seconds."""

    key: bytes
    subkey: bytes | None
    value: bytes
    expires: float


class Place(Protocol):
    """One of the three functions below. Raises ProtocolError."""

    __name__: str

    def __call__(self, envelope: bytes, *, now: float, swarm: bytes) -> Placement: ...


def place_announcement(envelope: bytes, *, now: float, swarm: bytes) -> Placement:
    """Raises ProtocolError if it is not a valid, live announcement of that swarm."""
    verified = verify_announcement(envelope, now=now, swarm=swarm)
    announcement = verified.announcement
    return Placement(
        announcement_key(announcement.swarm, announcement.round, announcement.task_id, announcement.shard),
        verified.publisher.encode() + announcement.digest[:_DIGEST_PREFIX_BYTES],
        envelope,
        float(announcement.expires),
    )


def place_status(envelope: bytes, *, now: float, swarm: bytes) -> Placement:
    """Raises ProtocolError if it is not a valid, live status of that swarm."""
    verified = verify_status(envelope, now=now, swarm=swarm)
    status = verified.status
    shard = shard_of(verified.publisher, status.swarm, MEMBERSHIP_SHARDS)
    key = membership_key(status.swarm, shard)
    return Placement(key, verified.publisher.encode(), envelope, float(status.expires))


def place_body(envelope: bytes, *, now: float, swarm: bytes) -> Placement:
    """Raises ProtocolError if it is not a record envelope of at most RECORD_BYTES_MAX.

    Its task and round are the reader's to check, who has the manifest.
    """
    opened = open_envelope(envelope, RECORD_DOMAIN, RECORD_PAYLOAD_TYPE, RECORD_BYTES_MAX)
    record = Record.from_bytes(opened.payload)
    if record.swarm != swarm:
        raise RejectedRecord(Reason.SWARM, f"for swarm {record.swarm.hex()}, not {swarm.hex()}")
    if record.expires <= now:
        raise RejectedRecord(Reason.EXPIRED, f"expired {now - record.expires:.0f} s ago")
    return Placement(body_key(swarm, digest_of(envelope)), None, envelope, float(record.expires))


def place_all(
    place: Place, envelopes: Iterable[bytes], *, now: float, swarm: bytes | None
) -> list[Placement]:
    """Where our own envelopes belong, without those that every storing node would refuse.

    Raises NetworkError while the swarm is not known.
    """
    if swarm is None:
        raise NetworkError("nothing can be published before the swarm is known: fetch its manifest first")
    placements = []
    for envelope in envelopes:
        try:
            placements.append(place(envelope, now=now, swarm=swarm))
        except ProtocolError as error:
            log.warning("not published", what=place.__name__.removeprefix("place_"), reason=str(error))
    return placements


class StorageRules:
    """Judges what peers ask this one to store and what they answer to its reads."""

    def __init__(self, swarm: SwarmId, hash_key: Callable[[bytes], bytes] = bytes) -> None:
        """`hash_key`: what the transport makes of a DHT key before a storing node sees it."""
        self._swarm = swarm
        self._hash_key = hash_key
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def accept(self, key: bytes, subkey: bytes | None, value: bytes, expires: float, now: float) -> bool:
        """Whether it may be stored, and believed when read. Raises nothing."""
        swarm = self._swarm()
        if swarm is None or not now < expires <= now + RECORD_LIFETIME_S_MAX + CLOCK_SKEW_S_MAX:
            return False
        if len(value) > (RECORD_BYTES_MAX if subkey is None else _ENTRY_BYTES_MAX):
            return False
        seen = hashlib.sha256(repr((swarm, key, subkey, expires)).encode() + value).digest()
        if seen in self._verified:
            self._verified.move_to_end(seen)
            return True
        try:
            placement = self._place(subkey, value, now, swarm)
        except ProtocolError:
            return False
        if (self._hash_key(placement.key), placement.subkey, placement.expires) != (key, subkey, expires):
            return False
        self._verified[seen] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return True

    @staticmethod
    def _place(subkey: bytes | None, value: bytes, now: float, swarm: bytes) -> Placement:
        if subkey is None:
            return place_body(value, now=now, swarm=swarm)
        if len(subkey) > PEER_ID_BYTES:
            return place_announcement(value, now=now, swarm=swarm)
        return place_status(value, now=now, swarm=swarm)
