"""Request and reply over one byte stream, used to pull bodies, manifests and full statuses. Independent of
libp2p.

    client -> server   the request, of a length known from the protocol id (body: 32 bytes, manifest: 0)
    server -> client   1 byte status, 4 bytes big-endian length, that many bytes
    client -> server   1 byte receipt, or it closes. The server closes only after seeing either, because a
                       stream closed right after a reply lost it once in several thousand times.

The client then waits briefly for the server to close. Otherwise it could count a stream as finished that
still uses a slot on the server, and a client that requests STREAMS_PER_PEER bodies at a time could be refused
as busy.

Both sides bound everything: sizes, seconds, and the number of streams that one peer and all peers have open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from enum import IntEnum
from weakref import WeakValueDictionary

from protocol import (
    CHARTER_BYTES_MAX,
    CREDIT_STATUS_BYTES_MAX,
    FULL_STATUS_BYTES_MAX,
    MANIFEST_BYTES_MAX,
    PROTOCOL_VERSIONS,
    VERSIONS_BYTES_MAX,
    PeerId,
    Versions,
    compress_body,
)
from swarmd import __version__
from swarmd.errors import NetworkError
from swarmd.network.interface import BodyProvider, Delivered, Standing
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.places import STREAMS_PER_PEER, Places, Rank

BODY_PROTOCOL = "/swarmd/body/2"
"""Compressed (SPEC 10.10)."""
PLAIN_BODY_PROTOCOL = "/swarmd/body/1"
"""Uncompressed."""
MANIFEST_PROTOCOL = "/swarmd/manifest/1"
STATUS_PROTOCOL = "/swarmd/status/2"
CREDIT_STATUS_PROTOCOL = "/swarmd/status/3"
CHARTER_PROTOCOL = "/swarmd/charter/1"
VERSIONS_PROTOCOL = "/swarmd/versions"
SERVED = (
    BODY_PROTOCOL,
    PLAIN_BODY_PROTOCOL,
    MANIFEST_PROTOCOL,
    STATUS_PROTOCOL,
    CREDIT_STATUS_PROTOCOL,
    CHARTER_PROTOCOL,
    VERSIONS_PROTOCOL,
)
"""The protocols that every peer answers (SPEC section 10)."""

REQUEST_BYTES = {BODY_PROTOCOL: 32, PLAIN_BODY_PROTOCOL: 32}
"""A SHA-256 digest. All other requests are empty."""

REQUEST_BYTES_MAX = max(REQUEST_BYTES.values())

REPLY_BYTES_MAX = {
    MANIFEST_PROTOCOL: MANIFEST_BYTES_MAX,
    STATUS_PROTOCOL: FULL_STATUS_BYTES_MAX,
    CREDIT_STATUS_PROTOCOL: CREDIT_STATUS_BYTES_MAX,
    CHARTER_PROTOCOL: CHARTER_BYTES_MAX,
    VERSIONS_PROTOCOL: VERSIONS_BYTES_MAX,
}
"""The size of a body is announced."""

REQUEST_SECONDS = 2.0
"""Seconds until the 32 bytes of a request arrive. A client sends them in the first packet."""

REFUSAL_SECONDS = 0.5
"""Seconds for the peer to read a refusal."""

RECEIPT = b"\x06"
"""ASCII's ACK. The server accepts any byte, or the end of the stream, as the receipt."""

RECEIPT_SECONDS = 1.0
"""Seconds for the server to close after a receipt, several round trips. A server that never closes costs no
more.
"""

STREAMS_ASKED = 16
"""Streams open at once to all peers. More would fill a home link without finishing sooner."""

_HEADER_BYTES = 5


class ReplyStatus(IntEnum):
    OK = 0
    ABSENT = 1
    BUSY = 2


def as_it_travels(protocol: str, held: bytes) -> bytes:
    """Encode `held` as the reply of this protocol."""
    return compress_body(held) if protocol == BODY_PROTOCOL else held


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the peer that it is refused for now, whatever its request. The caller closes the stream."""
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            writer.write(bytes([ReplyStatus.BUSY]) + bytes(4))
            await writer.drain()
            await reader.read(REQUEST_BYTES_MAX)  # closing with unread bytes would discard the reply
    except (TimeoutError, OSError):
        return


class AbsentError(NetworkError):
    """The peer answered that it does not hold what was requested."""


class BusyError(NetworkError):
    """The peer answered that it is serving too many streams."""


class StreamServer:
    """Serves bodies, the manifest, this peer's full status and the charter to every peer, within bounds.

    Before `serve`, `tell` and `tell_charter` are called, it can answer only which versions it supports.
    """

    def __init__(self, relies_on: Callable[[PeerId], bool] = lambda _peer: False) -> None:
        """`relies_on`: whether a peer has delivered something itself."""
        self._relies_on = relies_on
        self._bodies: BodyProvider = lambda _digest: None
        oldest, newest = PROTOCOL_VERSIONS
        versions = Versions(oldest=oldest, newest=newest, agent=f"swarmd/{__version__}")
        self._held: dict[str, bytes] = {VERSIONS_PROTOCOL: versions.to_bytes()}
        """The current reply for protocols without a request, by protocol."""
        self._delivered: Delivered = lambda _peer, _body: None
        self._places = Places()
        self.bytes_served = 0
        """Bytes of bodies, as sent on the wire."""

    def serve(self, bodies: BodyProvider, manifest: bytes) -> None:
        self._bodies, self._held[MANIFEST_PROTOCOL] = bodies, manifest

    def tell(self, status: bytes, with_credits: bytes | None = None) -> None:
        self._held[STATUS_PROTOCOL] = status
        if with_credits is not None:
            self._held[CREDIT_STATUS_PROTOCOL] = with_credits

    def tell_charter(self, charter: bytes) -> None:
        self._held[CHARTER_PROTOCOL] = charter

    def count_by(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def delivered(self, peer: PeerId, body: bytes) -> None:
        """`peer` confirmed that it has received this body."""
        self._delivered(peer, body)

    def find(self, protocol: str, request: bytes = b"") -> bytes | None:
        """Return what a request by one of SERVED asks for, or None if it is not held."""
        return self._bodies(request) if protocol in REQUEST_BYTES else self._held.get(protocol)

    async def answer(
        self,
        protocol: str,
        peer: PeerId,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one stream of `peer`, by one of SERVED, until it ends."""
        rank = Rank.of(standing, delivered=self._relies_on(peer))
        body = await self._serve(protocol, peer, reader, writer, rank)
        if protocol in REQUEST_BYTES and body is not None:
            self.delivered(peer, body)

    async def _serve(
        self,
        protocol: str,
        peer: PeerId,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        rank: Rank,
    ) -> bytes | None:
        """Serve the stream, and return what was requested if the client sent a receipt."""
        with closing(writer):
            try:
                async with asyncio.timeout(REQUEST_SECONDS) as deadline:
                    with self._places.take(peer, rank, deadline) as place:
                        if place is None:
                            await refuse(reader, writer)
                            return None
                        body = self.find(protocol, await reader.readexactly(REQUEST_BYTES.get(protocol, 0)))
                        reply = b"" if body is None else as_it_travels(protocol, body)
                        place.answered(len(reply))
                        status = ReplyStatus.ABSENT if body is None else ReplyStatus.OK
                        writer.write(bytes([status]) + len(reply).to_bytes(4, "big") + reply)
                        await writer.drain()
                        self.bytes_served += len(reply) if protocol in REQUEST_BYTES else 0
                        receipt = await reader.read(1)  # empty if the client closed; see above
                        return body if receipt else None
            except (TimeoutError, OSError, EOFError):
                return None  # a client that breaks off or stalls harms only itself


class AskedStreams:
    """Slots for the streams that this peer opens. A caller waits for a free slot."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(STREAMS_ASKED)
        self._of_peer: WeakValueDictionary[PeerId, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, peer: PeerId) -> AsyncIterator[None]:
        own = self._of_peer.setdefault(peer, asyncio.Semaphore(STREAMS_PER_PEER))
        async with own, self._all:
            yield


async def ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, *, bytes_max: int
) -> bytes:
    """Send `request`, return the reply, close. Raises NetworkError (absent, busy, ...), OSError, EOFError."""
    try:
        writer.write(request)
        await writer.drain()
        header = await reader.readexactly(_HEADER_BYTES)
        status, length = read_reply_header(header, bytes_max)
        body = await reader.readexactly(length)
        await _send_receipt(reader, writer)
        if status == ReplyStatus.ABSENT:
            raise AbsentError("the peer does not hold it")
        if status == ReplyStatus.BUSY:
            raise BusyError("the peer is serving too many streams right now; ask again later")
        return body
    finally:
        writer.close()


def read_reply_header(header: bytes, bytes_max: int) -> tuple[ReplyStatus, int]:
    """Parse status and length from the first five bytes of a reply. Pure. Raises MessageError."""
    if len(header) != _HEADER_BYTES:
        raise MessageError(Malformed.SIZE, f"a header of {len(header)} bytes")
    status, length = header[0], int.from_bytes(header[1:], "big")
    if status not in tuple(ReplyStatus):
        raise MessageError(Malformed.STATUS, f"the peer answered with unknown status {status}")
    if length > bytes_max:
        raise MessageError(
            Malformed.SIZE, f"the peer offers {length} bytes where at most {bytes_max} are allowed"
        )
    return ReplyStatus(status), length


async def _send_receipt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Confirm the reply and let the server close first.

    The reply counts whatever the server does, unless the caller's own time-out fires.
    """
    try:
        async with asyncio.timeout(RECEIPT_SECONDS):
            writer.write(RECEIPT)
            await writer.drain()
            await reader.read(1)
    except (TimeoutError, OSError):
        return
