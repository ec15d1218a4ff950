"""Asks another peer at which address it sees this one, and whether it can dial this peer's port (SPEC section
10.8).

The answering peer dials only the address that the request came from, regardless of its content. Nobody can
therefore direct it at a third party. The port is a claim: it must be one that a peer can use (`dialling.py`),
and the number of such probes is limited per address group and in total. In the code, a probe is a knock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from enum import IntEnum

from protocol import PeerId
from swarmd.addresses import ADDRESS_CHARS_MAX
from swarmd.network.address_groups import group_of_address
from swarmd.network.dialling import PORT_OF_FIREWALLS, PRIVILEGED_PORTS
from swarmd.network.interface import Standing
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.rates import Buckets, Rate
from swarmd.network.reach.waiting import Waiting
from swarmd.network.streams import REQUEST_SECONDS, ReplyStatus, refuse

REACH_PROTOCOL = "/swarmd/reach/1"
REQUEST_BYTES = 2
"""A big-endian TCP port; 0 asks only for the address."""

REPLY_BYTES_MAX = 2 + ADDRESS_CHARS_MAX

KNOCKS_OF_GROUP = Rate(1 / 30, 4)
"""Probes per second for one address group: the first few at once, then one every 30 seconds."""

KNOCKS = Rate(1, 16)
"""Probes per second in total. Each is one TCP connection of at most 1.8 s."""

RECEIPT_S = 2.0
"""Seconds for the client to read the reply."""


class Knock(IntEnum):
    """The result of a probe."""

    NOT_TRIED = 0
    OPENED = 1
    CLOSED = 2


class Own(IntEnum):
    """What the answering peer reports about its own reachability. Nothing is decided by this alone."""

    UNKNOWN = 0
    DIRECT = 1
    NOT_DIRECT = 2


@dataclass(frozen=True)
class Answer:
    """A peer's answer; only its format was checked."""

    knock: Knock
    own: Own
    seen_at: str
    """The multiaddr, in ASCII, that the request came from."""

    def to_bytes(self) -> bytes:
        return bytes([self.knock, self.own]) + self.seen_at.encode("ascii")

    @classmethod
    def read(cls, body: bytes) -> Answer:
        """Parse an answer. Raises MessageError."""
        if not 2 <= len(body) <= REPLY_BYTES_MAX:
            raise MessageError(Malformed.SIZE, f"a reach answer of {len(body)} bytes")
        if body[0] not in tuple(Knock) or body[1] not in tuple(Own):
            raise MessageError(Malformed.TYPE, "a reach answer with unknown values")
        seen_at = body[2:]
        if not seen_at.isascii() or not seen_at.decode().isprintable():
            raise MessageError(Malformed.ADDRESS, "an address that is not printable ASCII")
        return cls(Knock(body[0]), Own(body[1]), seen_at.decode())


OpensAt = Callable[[str, int], Awaitable[bool]]
"""(host, TCP port) -> whether a libp2p node answers there."""


class Answerer:
    """Serves REACH_PROTOCOL streams."""

    def __init__(
        self, opens_at: OpensAt, monotonic: Callable[[], float], own: Callable[[], bool | None]
    ) -> None:
        """`own`: whether other peers can dial this one, or None if unknown."""
        self._opens_at = opens_at
        self._now = monotonic
        self._own = own
        self._knocks = Buckets()
        self._waiting = Waiting()

    async def serve(
        self,
        _peer: PeerId,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing,
    ) -> None:
        """Serve one stream of a peer connected from `address`, until it ends."""
        with closing(writer), self._waiting.place(address) as there_is_room:
            if not there_is_room or standing <= Standing.BANNED:
                await refuse(reader, writer)
                return
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    port = int.from_bytes(await reader.readexactly(REQUEST_BYTES), "big")
                knock = await self._knock(address, port, standing)
                body = Answer(knock, _own(self._own()), address[:ADDRESS_CHARS_MAX]).to_bytes()
                writer.write(bytes([ReplyStatus.OK]) + len(body).to_bytes(4, "big") + body)
                await writer.drain()
                async with asyncio.timeout(RECEIPT_S):
                    await reader.read(1)
            except (TimeoutError, OSError, EOFError):
                return  # a client that breaks off harms only itself

    async def _knock(self, address: str, port: int, standing: Standing) -> Knock:
        parts = address.split("/")
        if "p2p-circuit" in parts or parts[1:2] not in (["ip4"], ["ip6"]) or not _may_be(port, standing):
            return Knock.NOT_TRIED
        now = self._now()
        group = group_of_address(address)
        if not self._knocks.take(group, KNOCKS_OF_GROUP, 1.0, now):
            return Knock.NOT_TRIED
        if not self._knocks.take("all", KNOCKS, 1.0, now):
            return Knock.NOT_TRIED
        return Knock.OPENED if await self._opens_at(parts[2], port) else Knock.CLOSED


def _may_be(port: int, standing: Standing) -> bool:
    """Whether a peer is allowed to listen on this port, by the same rule as for dialling."""
    return port >= PRIVILEGED_PORTS or (port == PORT_OF_FIREWALLS and standing >= Standing.MET)


def _own(opens: bool | None) -> Own:
    return Own.UNKNOWN if opens is None else Own.DIRECT if opens else Own.NOT_DIRECT
