"""`protocol.check_stored` for networks, with the swarm's manifest and a cache of what was verified.

Every implementation of `Network` applies these rules to what it stores and to what it reads.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import wraps

import structlog

from protocol import (
    PEER_ID_BYTES,
    RECORD_BYTES_MAX,
    Manifest,
    PeerId,
    Place,
    Placement,
    ProtocolError,
    Reason,
    RejectedRecord,
    body_key,
    check_stored,
    check_told,
    dht_id,
    digest_of,
    place_status,
    publisher_key,
)
from swarmd.errors import NetworkError
from swarmd.network.newest import put_newest
from swarmd.network.peer_ids import read_peer_id

log = structlog.get_logger(__name__)

VERIFIED_MAX = 8_192
"""Entries remembered as verified (about 1 MB). Every read returns each signature from 5 replicas, and a check
takes 0.2 ms.
"""

_MULTIHASH = b"\x00\x24"
_ENVELOPE_KEY = slice(2, 38)
"""A peer id is a multihash of the public key at the start of an envelope (SPEC section 5)."""

KnownManifest = Callable[[], Manifest | None]
"""Returns the manifest of this peer's swarm, or None while it is unknown."""


def place_all(
    place: Place, envelopes: Iterable[bytes], *, manifest: Manifest | None, now: float
) -> list[Placement]:
    """Return where our own envelopes belong, without those that every storing node would refuse.

    Raises NetworkError while the swarm is unknown.
    """
    if manifest is None:
        raise NetworkError("nothing can be published before the swarm is known: fetch its manifest first")
    placements = []
    for envelope in envelopes:
        try:
            placements.append(place(envelope, manifest=manifest, now=now))
        except ProtocolError as error:
            log.warning("not published", what=place.__name__.removeprefix("place_"), reason=str(error))
    return placements


def place_among(shards: int) -> Place:
    """Return the `place_status` of statuses that are spread over so many shards."""

    @wraps(place_status)
    def place(envelope: bytes, *, manifest: Manifest, now: float) -> Placement:
        return place_status(envelope, manifest=manifest, now=now, shards=shards)

    return place


def announcer_of(subkey: bytes | None) -> PeerId | None:
    """Return the publisher of a sound announcement; None for a status or a plain value."""
    if subkey is None or len(subkey) <= PEER_ID_BYTES:
        return None
    return _named_in(subkey)


def signer_of(subkey: bytes | None, value: bytes) -> PeerId:
    """Return the signer of an entry that passed the rules. Its peer id starts the subkey, or else the
    envelope contains its key.
    """
    if subkey is not None:
        return _named_in(subkey)
    return read_peer_id(_MULTIHASH + value[_ENVELOPE_KEY])


def _named_in(subkey: bytes) -> PeerId:
    return PeerId(subkey[:PEER_ID_BYTES].decode())


class StorageRules:
    """Decides what to store on request and what to believe in answers."""

    def __init__(self, swarm: KnownManifest) -> None:
        self._swarm = swarm
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def accept(
        self, stored_at: bytes, subkey: bytes | None, value: bytes, expires: float, now: float
    ) -> bool:
        """Whether the value can be stored and believed when read. `stored_at`: a `dht_id`. Raises nothing."""
        return self.refusal(stored_at, subkey, value, expires, now) is None

    def refusal(
        self,
        stored_at: bytes,
        subkey: bytes | None,
        value: bytes,
        expires: float,
        now: float,
        teller: PeerId | None = None,
    ) -> Reason | None:
        """Return why the value must not be stored or believed, or None if it is acceptable.

        `stored_at`: a `dht_id`. `teller`: the peer that answered with the value, and may tell its own
        announcements under its own key; None if the value is to be stored. Everything is refused while the
        swarm is unknown. Raises nothing.
        """
        manifest = self._swarm()
        if manifest is None:
            return Reason.SWARM
        if not now < expires:
            return Reason.EXPIRED
        if len(value) > RECORD_BYTES_MAX:
            return Reason.SIZE
        told = teller is not None and stored_at == dht_id(publisher_key(manifest.swarm_id, teller))
        if subkey is None and stored_at != dht_id(body_key(manifest.swarm_id, digest_of(value))):
            # Before a record is read, which can take ten times as long as to hash it. It may be sound in
            # another swarm, or in an earlier version of this one.
            return Reason.TOPIC if told else Reason.SWARM
        seen = hashlib.sha256(
            repr((manifest.swarm_id, stored_at, subkey, expires, told)).encode() + value
        ).digest()
        if seen in self._verified:
            self._verified.move_to_end(seen)
            return None
        try:
            if teller is not None and told:
                check_told(teller, subkey, value, expires, manifest=manifest, now=now)
            else:
                check_stored(stored_at, subkey, value, expires, manifest=manifest, now=now)
        except RejectedRecord as error:
            # The key of a plain value names this swarm, so no honest peer puts a record of another there.
            return Reason.TOPIC if subkey is None and error.reason is Reason.SWARM else error.reason
        put_newest(self._verified, seen, None, VERIFIED_MAX)
        return None
