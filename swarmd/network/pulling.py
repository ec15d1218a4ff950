"""Fetches bodies over any transport: checks what arrives, and falls back to other sources."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

import structlog

from protocol import (
    RECORD_BYTES_MAX,
    PeerId,
    RejectedRecord,
    compressed_bytes_max,
    decompress_body,
    digest_of,
)
from swarmd.addresses import is_relayed
from swarmd.errors import NetworkError
from swarmd.network.interface import (
    LocalFailureError,
    NetworkClosedError,
    Pulled,
    PullFailedError,
    PullFailure,
    Way,
)
from swarmd.network.newest import put_newest
from swarmd.network.streams import BODY_PROTOCOL, PLAIN_BODY_PROTOCOL, AbsentError, BusyError

log = structlog.get_logger(__name__)

FromPeer = Callable[[str, int], Awaitable[tuple[bytes, str | None]]]
"""(protocol, most bytes to accept) -> what the peer sent, and the address it came from if known. Raises
NetworkError.
"""

FromDHT = Callable[[], Awaitable[bytes | None]]
"""Returns the inline copy if the DHT holds one. Raises NetworkError."""

DELIVERERS_MAX = 1_024
"""Peers whose deliveries are counted, about 100 bytes each."""

PLAIN_MAX = 1_024
"""Peers remembered for not supporting compression, for as long as they deliver."""


class _WrongBodyError(NetworkError):
    """The peer sent bytes other than those requested, so asking it again is pointless."""


class BodyPuller:
    """Pulls bodies and counts them."""

    def __init__(self) -> None:
        self.bytes_pulled = 0
        """Bytes as received on the wire."""
        self.pulls_failed = 0
        self.ways: Counter[Way] = Counter()
        self._delivered: OrderedDict[PeerId, int] = OrderedDict()
        self._plain: OrderedDict[PeerId, None] = OrderedDict()

    def delivered(self, peer: PeerId) -> int:
        """Return how many bodies the peer delivered over a connection. The newest DELIVERERS_MAX peers are
        remembered.
        """
        return self._delivered.get(peer, 0)

    async def pull(
        self, peer_id: PeerId, digest: bytes, size: int, from_peer: FromPeer, from_dht: FromDHT
    ) -> Pulled:
        """Pull from the peer, then from the DHT, then from the peer once more unless that is pointless.

        The body is first requested compressed and the second time uncompressed, because older peers do not
        support compression. For a peer whose last delivery was uncompressed, the order is reversed.

        Raises PullFailedError.
        """
        try:
            pulled = await self._pull(peer_id, digest, size, from_peer, from_dht)
        except NetworkError as error:
            self.pulls_failed += 1
            raise PullFailedError(
                f"record {digest.hex()[:16]} of {peer_id}: {error}", _kind_of(error)
            ) from error
        self.ways[pulled.way] += 1
        if pulled.way is not Way.INLINE:
            put_newest(self._delivered, peer_id, self._delivered.get(peer_id, 0) + 1, DELIVERERS_MAX)
        return pulled

    async def _pull(
        self, peer_id: PeerId, digest: bytes, size: int, from_peer: FromPeer, from_dht: FromDHT
    ) -> Pulled:
        protocols = BODY_PROTOCOL, PLAIN_BODY_PROTOCOL
        one, other = protocols[::-1] if peer_id in self._plain else protocols
        try:
            return await self._from_peer(one, digest, size, from_peer)
        except NetworkError as error:
            log.debug("pull failed once", digest=digest.hex()[:16], error=str(error))
            first = error
        inline = await from_dht()
        if inline is not None and digest_of(inline) == digest:
            self.bytes_pulled += len(inline)
            return Pulled(inline, Way.INLINE)
        if isinstance(first, (AbsentError, BusyError, _WrongBodyError)):
            raise first
        pulled = await self._from_peer(other, digest, size, from_peer)
        self._plain.pop(peer_id, None)
        if other == PLAIN_BODY_PROTOCOL:
            put_newest(self._plain, peer_id, None, PLAIN_MAX)
        return pulled

    async def _from_peer(self, protocol: str, digest: bytes, size: int, from_peer: FromPeer) -> Pulled:
        size = min(size, RECORD_BYTES_MAX)
        compressed = protocol == BODY_PROTOCOL
        sent, address = await from_peer(protocol, compressed_bytes_max(size) if compressed else size)
        self.bytes_pulled += len(sent)
        try:
            body = decompress_body(sent, size) if compressed else sent
        except RejectedRecord as error:
            raise _WrongBodyError(f"the peer sent something else ({error})") from error
        if digest_of(body) != digest:
            raise _WrongBodyError(f"the peer sent other bytes, with digest {digest_of(body).hex()[:16]}")
        return Pulled(body, Way.RELAY if address and is_relayed(address) else Way.DIRECT, address)


def _kind_of(error: NetworkError) -> PullFailure:
    match error:
        case _WrongBodyError():
            return PullFailure.WRONG
        case AbsentError():
            return PullFailure.ABSENT
        case BusyError():
            return PullFailure.BUSY
        case LocalFailureError() | NetworkClosedError():
            return PullFailure.LOCAL
        case _:
            return PullFailure.UNREACHABLE
