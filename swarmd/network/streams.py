"""Request and reply over one byte stream: how bodies, manifests and full statuses are pulled. No libp2p.

    client -> server   the request, of a length known from the protocol id (body: 32 bytes, manifest: 0)
    server -> client   1 byte status, 4 bytes big-endian length, that many bytes
    client -> server   1 byte receipt, or it closes; the server closes only after it saw either, because a
                       stream closed right behind a reply lost it once in several thousand times

The client then waits a moment for the server to close. So it never counts a stream as over that still takes a
place at the server, and a client that asks for STREAMS_PER_PEER bodies at a time is never told "busy" for it.

Both sides bound everything: sizes, seconds, and how many streams one peer and all peers have open at once.
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
"""As it is."""
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
"""What every peer answers (SPEC section 10)."""

REQUEST_BYTES = {BODY_PROTOCOL: 32, PLAIN_BODY_PROTOCOL: 32}
"""A SHA-256 digest; the other requests are empty."""

REQUEST_BYTES_MAX = max(REQUEST_BYTES.values())

REPLY_BYTES_MAX = {
    MANIFEST_PROTOCOL: MANIFEST_BYTES_MAX,
    STATUS_PROTOCOL: FULL_STATUS_BYTES_MAX,
    CREDIT_STATUS_PROTOCOL: CREDIT_STATUS_BYTES_MAX,
    CHARTER_PROTOCOL: CHARTER_BYTES_MAX,
    VERSIONS_PROTOCOL: VERSIONS_BYTES_MAX,
}
"""A body's size is announced."""

REQUEST_SECONDS = 2.0
"""Until the 32 bytes of a request are here: a client sends them with the first packet."""

REFUSAL_SECONDS = 0.5
"""For the peer to read a refusal."""

RECEIPT = b"\x06"
"""ASCII's ACK; the server reads any byte, or the end, as the client's receipt."""

RECEIPT_SECONDS = 1.0
"""For the server to close after a receipt, some round trips: a server that never closes costs no more."""

STREAMS_ASKED = 16
"""Streams open at once to all peers; more would fill a home link without finishing sooner."""

_HEADER_BYTES = 5


class ReplyStatus(IntEnum):
    OK = 0
    ABSENT = 1
    BUSY = 2


def as_it_travels(protocol: str, held: bytes) -> bytes:
    """The reply by that protocol to whoever asks for `held`."""
    return compress_body(held) if protocol == BODY_PROTOCOL else held


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the peer that it is refused for now, whatever it wanted. The caller closes."""
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            writer.write(bytes([ReplyStatus.BUSY]) + bytes(4))
            await writer.drain()
            await reader.read(REQUEST_BYTES_MAX)  # closing on unread bytes takes back what was written
    except (TimeoutError, OSError):
        return


class AbsentError(NetworkError):
    """The peer answered that it does not hold what was asked for."""


class BusyError(NetworkError):
    """The peer answered that it serves too many streams just now."""


class StreamServer:
    """Serves bodies, the manifest, the own full status and the charter to every peer, within the bounds.

    Holds nothing before `serve`, `tell` and `tell_charter`, except which versions it speaks.
    """

    def __init__(self, relies_on: Callable[[PeerId], bool] = lambda _peer: False) -> None:
        """`relies_on`: whether a peer has delivered something itself."""
        self._relies_on = relies_on
        self._bodies: BodyProvider = lambda _digest: None
        oldest, newest = PROTOCOL_VERSIONS
        versions = Versions(oldest=oldest, newest=newest, agent=f"swarmd/{__version__}")
        self._held: dict[str, bytes] = {VERSIONS_PROTOCOL: versions.to_bytes()}
        """What there is one of, by protocol."""
        self._delivered: Delivered = lambda _peer, _body: None
        self._places = Places()
        self.bytes_served = 0
        """Of bodies, as they travelled."""

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
        """`peer` says that it has this body."""
        self._delivered(peer, body)

    def find(self, protocol: str, request: bytes = b"") -> bytes | None:
        """What a request of one of SERVED asks for; None: nothing of the kind is held."""
        return self._bodies(request) if protocol in REQUEST_BYTES else self._held.get(protocol)

    async def answer(
        self,
        protocol: str,
        peer: PeerId,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one stream of `peer`, by one of SERVED, to its end."""
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
        """Returns what was asked for if the client sent a receipt for it."""
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
                return None  # a client that breaks off or dawdles harms only itself


class AskedStreams:
    """Places for the streams that we open. A caller that finds none waits for one."""

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
        await _hand_in_receipt(reader, writer)
        if status == ReplyStatus.ABSENT:
            raise AbsentError("the peer does not hold it")
        if status == ReplyStatus.BUSY:
            raise BusyError("the peer serves too many streams just now; ask again later")
        return body
    finally:
        writer.close()


def read_reply_header(header: bytes, bytes_max: int) -> tuple[ReplyStatus, int]:
    """Status and length of a reply from its first five bytes. Pure; raises MessageError."""
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


async def _hand_in_receipt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the server that the reply is here, and let it close first.

    The reply counts whatever the server does, unless the caller's own time is up meanwhile.
    """
    try:
        async with asyncio.timeout(RECEIPT_SECONDS):
            writer.write(RECEIPT)
            await writer.drain()
            await reader.read(1)
    except (TimeoutError, OSError):
        return
