"""Request and reply over one byte stream: how bodies and manifests are pulled. No libp2p in here.

    client -> server   the request, of a length known from the protocol id (body: 32 bytes, manifest: 0)
    server -> client   1 byte status, 4 bytes big-endian length, that many bytes
    client -> server   1 byte receipt, or it closes; the server closes only after it saw either, because a
                       stream closed right behind a reply lost it once in several thousand times
    client waits a moment for the server's end, so that it never counts a stream as over that still takes a
    place at the server: who asks for STREAMS_PER_PEER bodies at a time is never told "busy" for it.

Both sides bound everything: sizes, seconds, and how many streams one peer and all peers have open at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from weakref import WeakValueDictionary

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.interface import BodyProvider
from swarmd.network.malformed import Malformed, MessageError

PULL_PROTOCOL = "/swarmd/body/1"
MANIFEST_PROTOCOL = "/swarmd/manifest/1"
PULL_REQUEST_BYTES = 32
"""A SHA-256 digest."""

STREAM_SECONDS = 10.0
"""For one request and reply, both sides; 64 KiB at 10 KB/s take 6.5 s."""

RECEIPT = b"\x06"
"""ASCII's ACK; the server reads any byte, or the end, as the client's receipt."""

RECEIPT_SECONDS = 1.0
"""For the server's end behind a receipt, some round trips: a server that never closes costs no more."""

STREAMS_PER_PEER = 4
"""At once, in each direction: one peer's slow link or greed does not take the places of others."""

STREAMS_SERVED = 64
"""At once to all peers: 64 bodies of 64 KiB are 4 MiB of buffers."""

STREAMS_REFUSED = 64
"""At once to all peers: streams that are told "busy". What comes beyond is closed without a word, since each
stream costs a file descriptor until its client goes away."""

STREAMS_ASKED = 16
"""At once to all peers; more would fill a home link without finishing sooner."""

_HEADER_BYTES = 5


class ReplyStatus(IntEnum):
    OK = 0
    ABSENT = 1
    BUSY = 2


def refuse(writer: asyncio.StreamWriter) -> None:
    """Tell the peer that it is refused for now, whatever it wanted. The caller closes."""
    writer.write(bytes([ReplyStatus.BUSY]) + bytes(4))


class AbsentError(NetworkError):
    """The peer answered that it does not hold what was asked for."""


class BusyError(NetworkError):
    """The peer answered that it serves too many streams just now."""


class StreamServer:
    """Serves bodies and the manifest to whoever asks, within the bounds. Holds nothing before `serve`."""

    def __init__(self) -> None:
        self._bodies: BodyProvider = lambda _digest: None
        self._manifest: bytes | None = None
        self._open: Counter[str] = Counter()
        self._refused = 0

    def serve(self, bodies: BodyProvider, manifest: bytes) -> None:
        self._bodies, self._manifest = bodies, manifest

    async def body(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one PULL_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, PULL_REQUEST_BYTES, self.find_body)

    async def manifest(self, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one MANIFEST_PROTOCOL stream of `peer` to its end."""
        await self._serve(peer, reader, writer, 0, self.find_manifest)

    def find_body(self, digest: bytes) -> bytes | None:
        return self._bodies(digest)

    def find_manifest(self, _request: bytes = b"") -> bytes | None:
        return self._manifest

    async def _serve(
        self,
        peer: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request_bytes: int,
        reply: Callable[[bytes], bytes | None],
    ) -> None:
        with self._admit(peer) as admitted:
            if not admitted and self._refused > STREAMS_REFUSED:
                writer.close()
            else:
                await answer(reader, writer, request_bytes, reply, admitted=admitted)

    @contextmanager
    def _admit(self, peer: str) -> Iterator[bool]:
        """Whether another stream of `peer` may be served; its place is held until the block is left."""
        admitted = self._open[peer] < STREAMS_PER_PEER and self._open.total() < STREAMS_SERVED
        self._open[peer] += admitted
        self._refused += not admitted
        try:
            yield admitted
        finally:
            self._open[peer] -= admitted
            self._refused -= not admitted
            self._open += Counter()  # drops peers at zero


class AskedStreams:
    """Places for the streams we open: whoever finds none waits for one."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(STREAMS_ASKED)
        self._of_peer: WeakValueDictionary[PeerId, asyncio.Semaphore] = WeakValueDictionary()

    @asynccontextmanager
    async def place(self, peer: PeerId) -> AsyncIterator[None]:
        own = self._of_peer.setdefault(peer, asyncio.Semaphore(STREAMS_PER_PEER))
        async with own, self._all:
            yield


async def answer(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request_bytes: int,
    reply: Callable[[bytes], bytes | None],
    *,
    admitted: bool,
) -> None:
    """Serve one stream to its end. A client that breaks off or dawdles is its own affair."""
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            body = reply(await reader.readexactly(request_bytes)) if admitted else None
            status = (
                ReplyStatus.BUSY if not admitted else ReplyStatus.ABSENT if body is None else ReplyStatus.OK
            )
            writer.write(bytes([status]) + len(body or b"").to_bytes(4, "big") + (body or b""))
            await writer.drain()
            await reader.read(1)  # the client's receipt or end of file; see above
    except (TimeoutError, OSError, EOFError):
        return
    finally:
        writer.close()


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
    """Tell the server that the reply is here, and let it close first. Whatever it does, the reply counts,
    unless the caller's own time is up meanwhile."""
    try:
        async with asyncio.timeout(RECEIPT_SECONDS):
            writer.write(RECEIPT)
            await writer.drain()
            await reader.read(1)
    except (TimeoutError, OSError):
        return
