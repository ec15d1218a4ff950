"""A relay for peers that cannot be dialled: gives them places and opens circuits to them. Everything is
bounded.

p2pd has its own relay. It limits places and what a circuit carries, but not the bandwidth, and it does not
know which peers this one trusts. Switching it off would also disable relayed connections. This relay
therefore takes over its protocol id (decision 21). Relayed data is encrypted end to end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from protocol import PeerId
from swarmd.addresses import is_relayed
from swarmd.errors import NetworkError
from swarmd.network.address_groups import group_of_address
from swarmd.network.control import P2PD_ERRORS
from swarmd.network.delimited import read_delimited
from swarmd.network.interface import Standing
from swarmd.network.malformed import MessageError
from swarmd.network.reach.circuit import MESSAGE_BYTES_MAX, Hop, Kind, Limit, Status, Stop, with_length
from swarmd.network.reach.pipe import Allowance, join
from swarmd.network.reach.waiting import Waiting

log = structlog.get_logger(__name__)

PLACES_MAX = 32
"""Peers that have a place: far more than a home connection could serve at once, and a few KB of memory."""

PLACES_OF_GROUP_MAX = 8
"""Places per address group, so that an attacker with one address cannot take them all."""

CIRCUITS_MAX = 64
CIRCUITS_OF_PEER_MAX = 8
"""Circuits at once, and circuits that one peer opens or accepts. Each costs four descriptors and two tasks.
"""

CIRCUITS_OF_GROUP_MAX = 16
CIRCUITS_OF_GROUP_TO_PEER_MAX = CIRCUITS_OF_PEER_MAX // 2
"""Circuits opened by peers of one address group, and those of them that lead to one peer. Identities are
free, and other peers must find room.
"""

PLACE_S = 600
"""Seconds that a place lasts unless it is renewed."""

LISTED_S = 15.0
"""Seconds after which the holder of a new place is among the known connections: these are listed once a
second, or every ten seconds while something else takes long.
"""

LIMIT = Limit(seconds=600, bytes=16 * 2**20)
"""Per circuit: ten minutes, and 256 of the largest bodies in each direction. The two peers then redial."""

BYTES_PER_S = 256 * 1024
"""Bytes per second for all circuits together: 2 Mbit/s, the traffic of 20 peers in an ordinary swarm (11 KB/s
each).
"""

MESSAGE_S = 5.0
"""Seconds for one message to arrive, several round trips."""

OPEN_S = 10.0
"""Seconds for the peer behind the relay to accept."""

OpenStop = Callable[[PeerId], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a stop stream to a connected peer. Raises NetworkError, P2PD_ERRORS."""


@dataclass(frozen=True)
class RelayCounts:
    """This peer's activity as a relay, now and since the start."""

    places: int = 0
    circuits: int = 0
    bytes_passed: int = 0
    refused: int = 0


@dataclass
class _Place:
    group: str
    given: float
    expires: float


class _Circuit(NamedTuple):
    source: PeerId
    target: PeerId
    group: str
    """The address group of `source`."""


class Relay:
    """Serves HOP_PROTOCOL streams."""

    def __init__(
        self,
        connections: Callable[[], Mapping[PeerId, str]],
        open_stop: OpenStop,
        *,
        enabled: bool,
        monotonic: Callable[[], float] = time.monotonic,
        bytes_per_s: int = BYTES_PER_S,
    ) -> None:
        """`connections`: the connected peers, each with the multiaddr of the other end."""
        self._connections = connections
        self._open_stop = open_stop
        self._enabled = enabled
        self._now = monotonic
        self._allowance = Allowance(bytes_per_s)
        self._places: dict[PeerId, _Place] = {}
        self._circuits: list[_Circuit] = []
        self._waiting = Waiting()
        self._refused = 0

    def counts(self) -> RelayCounts:
        self._expire()
        return RelayCounts(len(self._places), len(self._circuits), self._allowance.passed, self._refused)

    @property
    def in_use(self) -> frozenset[str]:
        """The peers that hold a place, and both ends of each circuit."""
        ends = (end for circuit in self._circuits for end in (circuit.source, circuit.target))
        return frozenset({*self._places, *ends})

    async def serve(
        self,
        peer: PeerId,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing,
    ) -> None:
        """Serve one stream of `peer`, which is connected from `address`, until it ends."""
        with closing(writer):
            with self._waiting.place(address) as there_is_room:
                target = await self._hear(peer, address, reader, writer, standing) if there_is_room else None
            if target is not None:
                await self._connect(peer, target, address, reader, writer)

    async def _hear(
        self,
        peer: PeerId,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        standing: Standing,
    ) -> PeerId | None:
        """Read one request and answer it. Return the peer to connect to if the request is granted."""
        try:
            async with asyncio.timeout(MESSAGE_S):
                asked = Hop.read(await read_delimited(reader, MESSAGE_BYTES_MAX))
        except (TimeoutError, EOFError, OSError, MessageError) as error:
            log.debug("relay: no request", peer=peer, error=str(error))
            return None
        status = Status.UNEXPECTED_MESSAGE
        if asked.kind is Kind.RESERVE:
            status = self._reserve(peer, address, standing)
        elif asked.kind is Kind.CONNECT and asked.peer is not None:
            status = self._why_not(peer, asked.peer, address)
            if status is Status.OK:
                return asked.peer
        await self._answer(writer, status, expires=int(time.time()) + PLACE_S)
        await _wait_for_close(reader)
        return None

    # Places -----------------------------------------------------------------------------------------

    def _reserve(self, peer: PeerId, address: str, standing: Standing) -> Status:
        """Give or renew a place if one is free."""
        self._expire()
        if not self._enabled or is_relayed(address) or standing <= Standing.BANNED:
            return Status.PERMISSION_DENIED
        group = group_of_address(address)
        others = [place for holder, place in self._places.items() if holder != peer]
        full = len(others) >= PLACES_MAX or sum(p.group == group for p in others) >= PLACES_OF_GROUP_MAX
        if full:
            return Status.RESERVATION_REFUSED
        self._places[peer] = _Place(group, given=self._now(), expires=self._now() + PLACE_S)
        return Status.OK

    def _expire(self) -> None:
        """Drop places whose time is up or whose holder has disconnected."""
        now, connected = self._now(), self._connections()
        gone = [
            peer
            for peer, place in self._places.items()
            if place.expires <= now or (place.given + LISTED_S <= now and peer not in connected)
        ]
        for peer in gone:
            del self._places[peer]

    # Circuits ---------------------------------------------------------------------------------------

    async def _connect(
        self,
        source: PeerId,
        target: PeerId,
        address: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        circuit = _Circuit(source, target, group_of_address(address))
        self._circuits.append(circuit)
        try:
            behind = await self._ask(source, target)
            if behind is None:
                await self._answer(writer, Status.CONNECTION_FAILED)
                await _wait_for_close(reader)
                return
            await self._answer(writer, Status.OK, limit=LIMIT)
            await join(
                (reader, writer),
                behind,
                allowance=self._allowance,
                seconds=LIMIT.seconds,
                bytes_max=LIMIT.bytes,
            )
        finally:
            self._circuits.remove(circuit)

    def _why_not(self, source: PeerId, target: PeerId, address: str) -> Status:
        self._expire()
        if not self._enabled or is_relayed(address):
            return Status.PERMISSION_DENIED
        if target not in self._places:
            return Status.NO_RESERVATION
        of_group = [circuit for circuit in self._circuits if circuit.group == group_of_address(address)]
        is_full = (
            len(self._circuits) >= CIRCUITS_MAX
            or max(self._of_peer(source), self._of_peer(target)) >= CIRCUITS_OF_PEER_MAX
            or len(of_group) >= CIRCUITS_OF_GROUP_MAX
            or sum(circuit.target == target for circuit in of_group) >= CIRCUITS_OF_GROUP_TO_PEER_MAX
        )
        return Status.RESOURCE_LIMIT_EXCEEDED if is_full else Status.OK

    def _of_peer(self, peer: PeerId) -> int:
        return sum(peer in (circuit.source, circuit.target) for circuit in self._circuits)

    async def _ask(
        self, source: PeerId, target: PeerId
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Ask the holder of a place to accept a circuit. Return the stream to it, or None if it refuses."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(OPEN_S):
                reader, writer = await self._open_stop(target)
                writer.write(with_length(Stop(source, LIMIT)))
                answer = Stop.read(await read_delimited(reader, MESSAGE_BYTES_MAX))
            if answer.status is Status.OK:
                return reader, writer
        except (TimeoutError, NetworkError, *P2PD_ERRORS) as error:
            log.debug("relay: the peer did not accept", peer=target, error=str(error))
        if writer is not None:
            writer.close()
        return None

    async def _answer(
        self,
        writer: asyncio.StreamWriter,
        status: Status,
        *,
        expires: int | None = None,
        limit: Limit | None = None,
    ) -> None:
        self._refused += status is not Status.OK
        told = expires if status is Status.OK else None
        try:
            writer.write(with_length(Hop(Kind.STATUS, expires=told, limit=limit, status=status)))
            await writer.drain()
        except OSError as error:
            log.debug("relay: the answer was not read", error=str(error))


async def _wait_for_close(reader: asyncio.StreamReader) -> None:
    """Wait for the peer to close, because closing immediately loses replies in flight (SPEC section 10.3)."""
    try:
        async with asyncio.timeout(MESSAGE_S):
            await reader.read(1)
    except (TimeoutError, OSError):
        return
