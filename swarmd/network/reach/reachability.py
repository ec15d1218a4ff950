"""How others reach this peer: asks them, holds places at relays if it needs any, and serves as a relay.

One round a second. It asks one peer at a time, each network once every ASK_AGAIN_S, or more often while
nothing is decided.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from protocol import PeerId
from swarmd.addresses import is_loopback, is_public, is_relayed, parse_peer_address
from swarmd.errors import NetworkError
from swarmd.network.binary_addresses import read_address
from swarmd.network.control import IncomingStream, StreamHandler
from swarmd.network.delimited import read_delimited
from swarmd.network.doors import opens_at
from swarmd.network.guard import Guard
from swarmd.network.interface import NetworkClosedError, Reachability
from swarmd.network.malformed import MessageError
from swarmd.network.neighbourhood import Neighbourhood
from swarmd.network.newest import put_newest
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.reach.asking import (
    REACH_PROTOCOL,
    REPLY_BYTES_MAX,
    REQUEST_BYTES,
    Answer,
    Answerer,
    Knock,
    Own,
)
from swarmd.network.reach.circuit import (
    HOP_PROTOCOL,
    MESSAGE_BYTES_MAX,
    STOP_PROTOCOL,
    Hop,
    Kind,
    Status,
    with_length,
)
from swarmd.network.reach.redials import Redials
from swarmd.network.reach.relay import Relay
from swarmd.network.reach.reservations import Reservations
from swarmd.network.reach.verdict import Voices, reach_of
from swarmd.network.session import Session
from swarmd.network.supervisor import Supervisor

log = structlog.get_logger(__name__)

ROUND_S = 1.0
"""Seconds between two rounds: the connections are looked at as often."""

ASK_AGAIN_S = 600.0
"""Seconds between two questions to one network: a router that changed is noticed within that ..."""

ASK_SOON_S = 45.0
"""... and while nothing is decided. A network is knocked for every 30 s at most."""

TRIED_MAX = 1_024
"""Peers of whom is remembered when they were asked last, and peers whose connection was relayed."""

RESERVE_S = 5.0
"""For a relay to answer."""

Ask = Callable[[Session, PeerId, str, bytes, int], Awaitable[bytes]]
"""(session, peer, protocol, request, most bytes of the reply) -> its body. Raises NetworkError."""


class Reaching:
    """One peer's reachability; `keep` runs beside the rest of the network."""

    def __init__(
        self,
        supervisor: Supervisor,
        neighbourhood: Neighbourhood,
        guard: Guard,
        *,
        ask: Ask,
        port: int,
        relays: bool,
        delivered: Callable[[PeerId], int],
        monotonic: Callable[[], float],
    ) -> None:
        """`port`: where others are asked to knock. `relays`: whether this peer relays for others."""
        self._supervisor = supervisor
        self._neighbourhood = neighbourhood
        self._guard = guard
        self._ask = ask
        self._port = port
        self._now = monotonic
        self._voices = Voices()
        self._tried: OrderedDict[PeerId, float] = OrderedDict()
        self._punched: set[PeerId] = set()
        self._redials = Redials()
        self._answerer = Answerer(opens_at, monotonic, self.opens)
        self._relay = Relay(self._connections, self._open_stop, enabled=relays, monotonic=monotonic)
        self._reservations = Reservations(
            self._reserve,
            self._connections,
            guard.standing,
            lambda: guard.hearing.unheard,
            delivered,
            monotonic,
        )

    def opens(self) -> bool | None:
        """Whether others can dial this peer, as most of them say; None: not known."""
        return self._voices.opens(self._now())

    @property
    def dialable(self) -> bool:
        """The same, or a guess from addresses while it is not known."""
        opens = self.opens()
        return self._neighbourhood.seems_dialable if opens is None else opens

    def view(self) -> Reachability:
        """What is known now."""
        opens = self.opens()
        yes, no = self._voices.counts(self._now())
        relays = self._reservations.relays
        counts = self._relay.counts()
        return Reachability(
            state=reach_of(opens, relays=len(relays), punched=bool(self._punched)),
            port=self._port,
            opened=yes,
            closed=no,
            seen_at=self._voices.seen_at(self._now()),
            relays=relays,
            alone=not self._connections(),
            on_this_machine=all(map(is_loopback, self._connections().values())),
            places=counts.places,
            circuits=counts.circuits,
            relayed_bytes=counts.bytes_passed,
            relay_refused=counts.refused,
        )

    def handlers(self) -> Mapping[str, StreamHandler]:
        """What serves the streams that peers open."""

        def handler(serve: Callable[..., Awaitable[None]]) -> StreamHandler:
            def handle(
                stream: IncomingStream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
            ) -> Awaitable[None]:
                peer = read_peer_id(stream.peer)
                return serve(peer, _address_of(stream), reader, writer, self._guard.standing(peer))

            return handle

        return {REACH_PROTOCOL: handler(self._answerer.serve), HOP_PROTOCOL: handler(self._relay.serve)}

    # Rounds -----------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Do a round every ROUND_S, until cancelled or closed."""
        while True:
            await asyncio.sleep(ROUND_S)
            try:
                session = await self._supervisor.session()
                await self._round(session)
            except NetworkClosedError:
                return
            except NetworkError as error:
                log.debug("reach not looked at", error=str(error))

    async def _round(self, session: Session) -> None:
        self._punched &= self._connections().keys()
        await self._reservations.round(needed=self._needs_relays())
        self._neighbourhood.reach_at((*self._outside(), *self._reservations.addresses))
        await self._dial_again(session)
        peer = self._next()
        if peer is not None:
            await self._question(session, peer)

    async def _dial_again(self, session: Session) -> None:
        """Replace one relayed connection, so that p2pd at its other end tries to punch a hole."""
        now = self._now()
        observers = sum(self._voices.counts(now))
        peer = self._redials.due(self._connections(), dialable=self.dialable, observers=observers, now=now)
        if peer is not None:
            address = parse_peer_address(f"{self._connections()[peer]}/p2p/{peer}")
            await session.disconnect(peer)
            await self._neighbourhood.join(session, [address])

    def _outside(self) -> tuple[str, ...]:
        """Where most others saw this peer and found its port open, as behind a router that forwards it."""
        seen_at = self._voices.seen_at(self._now())
        if not self.opens() or not seen_at:
            return ()
        return (f"/ip{'6' if ':' in seen_at else '4'}/{seen_at}/tcp/{self._port}",)

    def _needs_relays(self) -> bool:
        """Nobody can dial this peer, and there are others than those on this machine."""
        away = any(not is_loopback(address) for address in self._connections().values())
        return away and not self.dialable

    def _connections(self) -> Mapping[PeerId, str]:
        return self._neighbourhood.connections

    def _next(self) -> PeerId | None:
        """Whom to ask now: a peer of a network that was not asked lately, the best known first."""
        now = self._now()
        pause = ASK_SOON_S if self.opens() is None else ASK_AGAIN_S
        due = [
            peer
            for peer, address in self._connections().items()
            if not is_relayed(address)
            and not is_loopback(address)
            and not self._guard.shuns(peer)
            and now - self._tried.get(peer, float("-inf")) >= pause
            and not self._voices.heard_within(address, pause, now)
        ]
        return max(due, key=self._guard.standing, default=None)

    async def _question(self, session: Session, peer: PeerId) -> None:
        address = self._connections()[peer]
        put_newest(self._tried, peer, self._now(), TRIED_MAX)
        request = self._port.to_bytes(REQUEST_BYTES, "big")
        try:
            answer = Answer.read(await self._ask(session, peer, REACH_PROTOCOL, request, REPLY_BYTES_MAX))
        except NetworkError as error:  # an older version has no such protocol
            log.debug("not told", peer=peer, error=str(error))
            return
        if answer.knock is not Knock.NOT_TRIED:
            opened = answer.knock is Knock.OPENED
            self._voices.heard(address, opened=opened, seen_at=answer.seen_at, now=self._now())
        came_by_relay = peer in self._neighbourhood.came_by_relay
        if answer.own is Own.NOT_DIRECT and came_by_relay and is_public(address):
            self._punched.add(peer)

    # Relays -----------------------------------------------------------------------------------------

    async def _reserve(self, relay: PeerId) -> None:
        """Ask `relay` for a place. Raises NetworkError if it gives none."""
        session = await self._supervisor.session()
        what = f"asking {relay} for a place"
        async with session.stream(relay, HOP_PROTOCOL, what, RESERVE_S) as (reader, writer):
            writer.write(with_length(Hop(Kind.RESERVE)))
            answer = Hop.read(await read_delimited(reader, MESSAGE_BYTES_MAX))
        if answer.status is not Status.OK:
            raise NetworkError(f"{relay} gives no place: {answer.status.name}")

    async def _open_stop(self, target: PeerId) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        session = await self._supervisor.session()
        return await session.open_stream(target, STOP_PROTOCOL)


def _address_of(stream: IncomingStream) -> str:
    """Where the peer is connected from; empty if that cannot be read."""
    with suppress(MessageError):
        return read_address(stream.address)
    return ""
