"""Signing payloads, and verifying received bytes (SPEC section 8).

Received bytes, `Opened` and `Verified...` are three types, and a value of one type has passed the checks of
the types before it. Verified means signed by its publisher, well formed, in time and allowed by the swarm. It
does not mean true: to know that, a peer must regenerate the question and score the completions.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol import limits
from protocol.envelope import Opened, open_envelope, seal
from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.keys import KeyPair, PeerId
from protocol.manifest import Manifest
from protocol.payload import Payload
from protocol.records import (
    ANNOUNCEMENT_DOMAIN,
    ANNOUNCEMENT_PAYLOAD_TYPE,
    CREDIT_STATUS_PAYLOAD_TYPE,
    FULL_STATUS_PAYLOAD_TYPE,
    RECORD_DOMAIN,
    RECORD_PAYLOAD_TYPE,
    STATUS_DOMAIN,
    STATUS_PAYLOAD_TYPE,
    TURNS_RECORD_PAYLOAD_TYPE,
    Announcement,
    AnyRecord,
    CreditStatus,
    FullStatus,
    PeerStatus,
    Record,
    TurnsRecord,
)
from protocol.topics import is_shard_of


@dataclass(frozen=True, slots=True)
class VerifiedRecord:
    """A record of this swarm, in time, with the bytes that prove it."""

    record: AnyRecord
    publisher: PeerId
    digest: bytes
    envelope: bytes


@dataclass(frozen=True, slots=True)
class VerifiedAnnouncement:
    """An announcement that has not expired, with the bytes that prove it."""

    announcement: Announcement
    publisher: PeerId
    envelope: bytes


@dataclass(frozen=True, slots=True)
class VerifiedStatus:
    """A peer's statement about itself that has not expired, with the bytes that prove it."""

    status: PeerStatus
    publisher: PeerId
    envelope: bytes


@dataclass(frozen=True, slots=True)
class VerifiedFullStatus:
    """Like `VerifiedStatus`, for a status of version 2 or 3."""

    status: FullStatus
    publisher: PeerId
    envelope: bytes


def digest_of(envelope: bytes) -> bytes:
    """Return the SHA-256 (32 bytes) of a record's envelope, its name in announcements, stores and pulls."""
    return hashlib.sha256(envelope).digest()


def sign_record(key: KeyPair, record: AnyRecord) -> bytes:
    """Return the record's envelope. Raises InvalidLocal if it exceeds RECORD_BYTES_MAX."""
    payload_type = RECORD_PAYLOAD_TYPE if isinstance(record, Record) else TURNS_RECORD_PAYLOAD_TYPE
    return _sign(key, RECORD_DOMAIN, payload_type, record, limits.RECORD_BYTES_MAX)


def open_record(data: bytes) -> tuple[AnyRecord, PeerId]:
    """Return a record of either version, and its signer. Skips all checks that need a manifest or a clock.

    Raises RejectedRecord with the first reason of SPEC sections 8.1 and 6.
    """
    opened = open_envelope(
        data, RECORD_DOMAIN, RECORD_PAYLOAD_TYPE, limits.RECORD_BYTES_MAX, TURNS_RECORD_PAYLOAD_TYPE
    )
    return _parse_record(opened), opened.peer_id


def sign_announcement(key: KeyPair, announcement: Announcement) -> bytes:
    """Return the announcement's envelope. Raises InvalidLocal if it exceeds ANNOUNCEMENT_BYTES_MAX."""
    return _sign(
        key, ANNOUNCEMENT_DOMAIN, ANNOUNCEMENT_PAYLOAD_TYPE, announcement, limits.ANNOUNCEMENT_BYTES_MAX
    )


def sign_status(key: KeyPair, status: PeerStatus) -> bytes:
    """Return the status's envelope. Raises InvalidLocal if it exceeds STATUS_BYTES_MAX."""
    return _sign(key, STATUS_DOMAIN, STATUS_PAYLOAD_TYPE, status, limits.STATUS_BYTES_MAX)


def sign_full_status(key: KeyPair, status: FullStatus) -> bytes:
    """Return the full status's envelope. Raises InvalidLocal if it exceeds FULL_STATUS_BYTES_MAX."""
    return _sign(key, STATUS_DOMAIN, FULL_STATUS_PAYLOAD_TYPE, status, limits.FULL_STATUS_BYTES_MAX)


def sign_credit_status(key: KeyPair, status: CreditStatus) -> bytes:
    """Return the envelope of a status with credits. Raises InvalidLocal above CREDIT_STATUS_BYTES_MAX."""
    return _sign(key, STATUS_DOMAIN, CREDIT_STATUS_PAYLOAD_TYPE, status, limits.CREDIT_STATUS_BYTES_MAX)


def verify_record(
    data: bytes,
    *,
    manifest: Manifest,
    now: float,
    digest: bytes | None = None,
    publisher: PeerId | None = None,
) -> VerifiedRecord:
    """Check everything about a record that needs neither its question nor a scorer.

    `now`: Unix seconds. `digest`, `publisher`: those that were asked for, if known.
    Raises RejectedRecord with the first reason in the order of SPEC section 8.
    """
    _check_size(data, limits.RECORD_BYTES_MAX)
    found = digest_of(data)
    if digest is not None and found != digest:
        raise RejectedRecord(Reason.DIGEST, f"SHA-256 is {found.hex()}, expected {digest.hex()}")
    opened = open_envelope(
        data, RECORD_DOMAIN, RECORD_PAYLOAD_TYPE, limits.RECORD_BYTES_MAX, TURNS_RECORD_PAYLOAD_TYPE
    )
    if publisher is not None and opened.peer_id != publisher:
        raise RejectedRecord(Reason.PUBLISHER, f"signed by {opened.peer_id}, expected {publisher}")
    record = _parse_record(opened)
    _check_swarm(record.swarm, manifest.swarm_id)
    _check_times(record.created, record.expires, now, limits.RECORD_LIFETIME_S_MAX)
    if record.round != manifest.round_at(record.created):
        raise RejectedRecord(
            Reason.ROUND,
            f"round {record.round}, but it was created in round {manifest.round_at(record.created)}",
        )
    _check_allowed(record, manifest)
    return VerifiedRecord(record, opened.peer_id, found, data)


def verify_announcement(data: bytes, *, manifest: Manifest, now: float) -> VerifiedAnnouncement:
    """Check an announcement of this swarm. `now`: Unix seconds. Raises RejectedRecord."""
    opened = open_envelope(
        data, ANNOUNCEMENT_DOMAIN, ANNOUNCEMENT_PAYLOAD_TYPE, limits.ANNOUNCEMENT_BYTES_MAX
    )
    announcement = Announcement.from_bytes(opened.payload)
    _check_swarm(announcement.swarm, manifest.swarm_id)
    _check_announced_times(announcement, manifest, now)
    if not is_shard_of(announcement.shard, opened.peer_id, announcement.task_id):
        raise RejectedRecord(Reason.TOPIC, f"this publisher never uses shard {announcement.shard}")
    return VerifiedAnnouncement(announcement, opened.peer_id, data)


def verify_status(data: bytes, *, swarm: bytes, now: float) -> VerifiedStatus:
    """Check a peer status. `swarm`: the expected swarm id; `now`: Unix seconds. Raises RejectedRecord."""
    opened = open_envelope(data, STATUS_DOMAIN, STATUS_PAYLOAD_TYPE, limits.STATUS_BYTES_MAX)
    status = PeerStatus.from_bytes(opened.payload)
    _check_swarm(status.swarm, swarm)
    _check_times(status.created, status.expires, now, limits.STATUS_LIFETIME_S_MAX)
    return VerifiedStatus(status, opened.peer_id, data)


def verify_full_status(data: bytes, *, swarm: bytes, now: float, publisher: PeerId) -> VerifiedFullStatus:
    """Check a full status (version 2 or 3) that `publisher` was asked for. Otherwise like `verify_status`.

    Returns a CreditStatus only for version 3.
    """
    opened = open_envelope(
        data,
        STATUS_DOMAIN,
        FULL_STATUS_PAYLOAD_TYPE,
        limits.CREDIT_STATUS_BYTES_MAX,
        CREDIT_STATUS_PAYLOAD_TYPE,
    )
    kind: type[FullStatus] = CreditStatus
    if opened.payload_type == FULL_STATUS_PAYLOAD_TYPE:
        _check_size(data, limits.FULL_STATUS_BYTES_MAX)
        kind = FullStatus
    if opened.peer_id != publisher:
        raise RejectedRecord(Reason.PUBLISHER, f"signed by {opened.peer_id}, expected {publisher}")
    status = kind.from_bytes(opened.payload)
    _check_swarm(status.swarm, swarm)
    _check_times(status.created, status.expires, now, limits.STATUS_LIFETIME_S_MAX)
    return VerifiedFullStatus(status, opened.peer_id, data)


def _sign(key: KeyPair, domain: str, payload_type: bytes, payload: Payload, size_max: int) -> bytes:
    sound = type(payload).model_validate(payload.model_dump())  # `model_copy(update=...)` does not validate
    envelope = seal(key, domain, payload_type, sound.to_bytes())
    if len(envelope) > size_max:
        raise InvalidLocal(
            f"{type(payload).__name__}: an envelope of {len(envelope)} bytes, at most {size_max} are allowed"
        )
    return envelope


def _check_size(data: bytes, size_max: int) -> None:
    if len(data) > size_max:
        raise RejectedRecord(Reason.SIZE, f"{len(data)} bytes, at most {size_max} are allowed")


def _check_swarm(found: bytes, expected: bytes) -> None:
    if found != expected:
        raise RejectedRecord(Reason.SWARM, f"for swarm {found.hex()}, not {expected.hex()}")


def _check_times(created: int, expires: int, now: float, lifetime_max: int) -> None:
    if created > now + limits.CLOCK_SKEW_S_MAX:
        raise RejectedRecord(
            Reason.CLOCK, f"created {created - now:.0f} s in the future: one of the two clocks is wrong"
        )
    if not 0 < expires - created <= lifetime_max:
        raise RejectedRecord(Reason.LIFETIME, f"a lifetime of {expires - created} s, not 1 to {lifetime_max}")
    if expires <= now:
        raise RejectedRecord(Reason.EXPIRED, f"expired {now - expires:.0f} s ago")


def _check_announced_times(announcement: Announcement, manifest: Manifest, now: float) -> None:
    round_, expires = announcement.round, announcement.expires
    newest = manifest.round_at(now + limits.CLOCK_SKEW_S_MAX)
    if round_ > newest:
        raise RejectedRecord(Reason.CLOCK, f"round {round_}, which has not begun: the newest is {newest}")
    if expires <= now:
        raise RejectedRecord(Reason.EXPIRED, f"expired {now - expires:.0f} s ago")
    if expires > now + limits.RECORD_LIFETIME_S_MAX + limits.CLOCK_SKEW_S_MAX:
        raise RejectedRecord(Reason.LIFETIME, f"expires in {expires - now:.0f} s: no record lives that long")
    start, end = manifest.round_start(round_), manifest.announced_until(round_)
    if not start < expires < end:
        raise RejectedRecord(
            Reason.LIFETIME,
            f"expires {expires - start} s after round {round_} began, not 1 to {end - start - 1}",
        )


def _parse_record(opened: Opened) -> AnyRecord:
    kind = TurnsRecord if opened.payload_type == TURNS_RECORD_PAYLOAD_TYPE else Record
    return kind.from_bytes(opened.payload)


def _check_allowed(record: AnyRecord, manifest: Manifest) -> None:
    family = manifest.family(record.task.task_id)
    if family is None:
        raise RejectedRecord(
            Reason.TASK, f"the manifest has no task {record.task.dataset} with this configuration"
        )
    turns = (turn for completion in record.completions for turn in completion.turns)
    if any(turn.tokens > manifest.max_new_tokens for turn in turns):
        raise RejectedRecord(
            Reason.TASK, f"a completion or a turn has more than {manifest.max_new_tokens} tokens"
        )
