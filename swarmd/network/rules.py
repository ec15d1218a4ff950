"""`protocol.check_stored` for the networks: which swarm it is, and what was found sound before.

Every implementation of `Network` applies these rules to what it stores and to what it reads.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

import structlog

from protocol import RECORD_BYTES_MAX, Manifest, Place, Placement, ProtocolError, check_stored
from swarmd.errors import NetworkError

log = structlog.get_logger(__name__)

VERIFIED_MAX = 8_192
"""Entries remembered as verified (about 1 MB): every read meets each signature on 5 replicas, 0.2 ms each."""

KnownManifest = Callable[[], Manifest | None]
"""The manifest of the swarm this peer belongs to; None until it is known."""


def place_all(
    place: Place, envelopes: Iterable[bytes], *, manifest: Manifest | None, now: float
) -> list[Placement]:
    """Where our own envelopes belong, without those that every storing node would refuse.

    Raises NetworkError while the swarm is not known.
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


class StorageRules:
    """Judges what peers ask this one to store and what they answer to its reads."""

    def __init__(self, swarm: KnownManifest) -> None:
        self._swarm = swarm
        self._verified: OrderedDict[bytes, None] = OrderedDict()

    def accept(
        self, stored_at: bytes, subkey: bytes | None, value: bytes, expires: float, now: float
    ) -> bool:
        """Whether it may be stored, and believed when read. `stored_at`: a `dht_id`. Raises nothing.

        While the swarm is not known nothing may.
        """
        manifest = self._swarm()
        if manifest is None or not now < expires or len(value) > RECORD_BYTES_MAX:
            return False
        seen = hashlib.sha256(repr((manifest.swarm_id, stored_at, subkey, expires)).encode() + value).digest()
        if seen in self._verified:
            self._verified.move_to_end(seen)
            return True
        try:
            check_stored(stored_at, subkey, value, expires, manifest=manifest, now=now)
        except ProtocolError:
            return False
        self._verified[seen] = None
        if len(self._verified) > VERIFIED_MAX:
            self._verified.popitem(last=False)
        return True
