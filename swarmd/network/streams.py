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

from protocol import PROTOCOL_VERSIONS, PeerId, Versions
from swarmd import __version__
from swarmd.errors import NetworkError
from swarmd.network.interface import BodyProvider, Delivered, Standing
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.places import STREAMS_PER_PEER, Places

PULL_PROTOCOL = "/swarmd/body/1"
MANIFEST_PROTOCOL = "/swarmd/manifest/1"
STATUS_PROTOCOL = "/swarmd/status/2"
CHARTER_PROTOCOL = "/swarmd/charter/1"
VERSIONS_PROTOCOL = "/swarmd/versions"
PULL_REQUEST_BYTES = 32
"""A SHA-256 digest."""

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


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Tell the peer that it is refused for now, whatever it wanted. The caller closes."""
    try:
        async with asyncio.timeout(REFUSAL_SECONDS):
            writer.write(bytes([ReplyStatus.BUSY]) + bytes(4))
            await writer.drain()
            await reader.read(PULL_REQUEST_BYTES)  # closing on unread bytes takes back what was written
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

    def __init__(self) -> None:
        self._bodies: BodyProvider = lambda _digest: None
        self._manifest: bytes | None = None
        self._status: bytes | None = None
        self._charter: bytes | None = None
        oldest, newest = PROTOCOL_VERSIONS
        self._versions = Versions(oldest=oldest, newest=newest, agent=f"swarmd/{__version__}").to_bytes()
        self._delivered: Delivered = lambda _peer, _body: None
        self._places = Places()

    def serve(self, bodies: BodyProvider, manifest: bytes) -> None:
        self._bodies, self._manifest = bodies, manifest

    def tell(self, status: bytes) -> None:
        self._status = status

    def tell_charter(self, charter: bytes) -> None:
        self._charter = charter

    def count_by(self, delivered: Delivered) -> None:
        self._delivered = delivered

    def delivered(self, peer: PeerId, body: bytes) -> None:
        """`peer` says that it has this body."""
        self._delivered(peer, body)

    async def body(
        self,
        peer: PeerId,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one PULL_PROTOCOL stream of `peer` to its end."""
        body = await self._serve(peer, reader, writer, standing, PULL_REQUEST_BYTES, self.find_body)
        if body is not None:
            self.delivered(peer, body)

    async def manifest(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one MANIFEST_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, standing, 0, self.find_manifest)

    async def status(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one STATUS_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, standing, 0, self.find_status)

    async def charter(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one CHARTER_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, standing, 0, self.find_charter)

    async def versions(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing = Standing.STRANGER,
    ) -> None:
        """Serve one VERSIONS_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, standing, 0, self.find_versions)

    def find_body(self, digest: bytes) -> bytes | None:
        return self._bodies(digest)

    def find_manifest(self, _request: bytes = b"") -> bytes | None:
        return self._manifest

    def find_status(self, _request: bytes = b"") -> bytes | None:
        return self._status

    def find_charter(self, _request: bytes = b"") -> bytes | None:
        return self._charter

    def find_versions(self, _request: bytes = b"") -> bytes:
        return self._versions

    async def _serve(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing,
        request_bytes: int,
        reply: Callable[[bytes], bytes | None],
    ) -> bytes | None:
        """Returns the reply's body if the client sent a receipt for it."""
        with closing(writer):
            try:
                async with asyncio.timeout(REQUEST_SECONDS) as deadline:
                    with self._places.take(peer, standing, deadline) as place:
                        if place is None:
                            await refuse(reader, writer)
                            return None
                        body = reply(await reader.readexactly(request_bytes))
                        place.answered(len(body or b""))
                        status = ReplyStatus.ABSENT if body is None else ReplyStatus.OK
                        writer.write(bytes([status]) + len(body or b"").to_bytes(4, "big") + (body or b""))
                        await writer.drain()
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
