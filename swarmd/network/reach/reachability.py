"""How other peers reach this one: asks them, gets places at relays if needed, and serves as a relay.

It runs one round per second and asks one peer at a time. Each network is asked once every ASK_AGAIN_S, or
more often while the result is undecided.
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
from swarmd.network.pauses import Pauses
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
"""Seconds between two rounds, and between two checks of the connections."""

REDIAL_S = 5.0
"""Seconds between two redials. Each takes up to 16 s, beside the rounds."""

ASK_AGAIN_S = 600.0
"""Seconds between two requests to one network, so that a change in the router is noticed within that time ...
"""

ASK_SOON_S = 45.0
"""... and while the result is undecided. Peers probe for one network at most every 30 s."""

TRIED_MAX = 1_024
"""Peers whose last request is remembered, and peers whose connection was relayed."""

RESERVE_S = 5.0
"""Seconds for a relay to answer."""

Ask = Callable[[Session, PeerId, str, bytes, int], Awaitable[bytes]]
"""(session, peer, protocol, request, most bytes of the reply) -> the reply's body. Raises NetworkError."""


class Reaching:
    """One peer's reachability. `keep` runs beside the rest of the network."""

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
        pauses: Pauses,
        monotonic: Callable[[], float],
    ) -> None:
        """`port`: the port that other peers are asked to probe. `relays`: whether this peer
        acts as a relay.
        """
        self._supervisor = supervisor
        self._neighbourhood = neighbourhood
        self._guard = guard
        self._ask = ask
        self._port = port
        self._pauses = pauses
        self._now = monotonic
        self._whereabouts: tuple[int, frozenset[str]] = (0, frozenset())
        self._voices = Voices()
        self._tried: OrderedDict[PeerId, float] = OrderedDict()
        self._punched: set[PeerId] = set()
        self._redials = Redials()
        self._delivered = delivered
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
        """Whether other peers can dial this one according to most of them, or None if unknown."""
        return self._voices.opens(self._now())

    @property
    def dialable(self) -> bool:
        """Like `opens`, but guessed from addresses while unknown."""
        opens = self.opens()
        return self._neighbourhood.seems_dialable if opens is None else opens

    def needed(self) -> frozenset[str]:
        """The peers to stay connected to: relays of this peer, and peers that it relays for."""
        return self._relay.in_use | frozenset(self._reservations.relays)

    def view(self) -> Reachability:
        """A snapshot of what is known now."""
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
        """The handlers for streams that peers open, by protocol id."""

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
        """Run a round every ROUND_S, and beside them redials, until cancelled or closed."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_doing(self._round, ROUND_S))
            group.create_task(self._keep_doing(self._dial_again, REDIAL_S))

    async def _keep_doing(self, work: Callable[[Session], Awaitable[None]], every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                session = await self._supervisor.session()
                await work(session)
            except NetworkClosedError:
                return
            except NetworkError as error:
                log.debug("reach not checked", error=str(error))

    async def _round(self, session: Session) -> None:
        self._forget_if_moved()
        self._punched &= self._connections().keys()
        await self._reservations.round(needed=self._needs_relays())
        found = (*self._outside(), *self._reservations.addresses)
        self._neighbourhood.reach_at(found, is_closed=self.opens() is False)
        peer = self._next()
        if peer is not None:
            await self._question(session, peer)

    def _forget_if_moved(self) -> None:
        """Forget what peers reported if this machine slept or is in another network: they dialled another
        router.
        """
        whereabouts = (self._pauses.times, self._neighbourhood.private_addresses)
        if whereabouts == self._whereabouts:
            return
        self._whereabouts = whereabouts
        self._voices = Voices()
        self._tried.clear()
        self._punched.clear()

    async def _dial_again(self, session: Session) -> None:
        """Replace one relayed connection, so that p2pd at its other end tries to punch a hole.

        Only for peers that delivered something: any stranger can open relayed connections. If the dial
        fails, p2pd dials the peer by itself when the next stream to it is opened.
        """
        now = self._now()
        useful = {
            peer: address
            for peer, address in self._connections().items()
            if self._delivered(peer) and not self._guard.shuns(peer)
        }
        observers = sum(self._voices.counts(now))
        peer = self._redials.due(useful, dialable=self.dialable, observers=observers, now=now)
        if peer is None:
            return
        await self._neighbourhood.locate(session)  # the other side may have punched one meanwhile
        address = self._connections().get(peer)
        if address is None or not is_relayed(address):
            return
        await session.disconnect(peer)
        try:
            await session.dial(parse_peer_address(f"{address}/p2p/{peer}"))
        finally:
            await self._neighbourhood.locate(session)

    def _outside(self) -> tuple[str, ...]:
        """The address where most peers saw this one and could dial its port, for example behind a router that
        forwards it.
        """
        seen_at = self._voices.seen_at(self._now())
        if not self.opens() or not seen_at:
            return ()
        return (f"/ip{'6' if ':' in seen_at else '4'}/{seen_at}/tcp/{self._port}",)

    def _needs_relays(self) -> bool:
        """Whether nobody can dial this peer although it is connected to peers on other machines."""
        away = any(not is_loopback(address) for address in self._connections().values())
        return away and not self.dialable

    def _connections(self) -> Mapping[PeerId, str]:
        return self._neighbourhood.connections

    def _next(self) -> PeerId | None:
        """Choose a peer to ask now, from a network that was not asked recently, best standing first."""
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
        except NetworkError as error:  # an older version does not support this protocol
            log.debug("no reach answer", peer=peer, error=str(error))
            return
        if answer.knock is not Knock.NOT_TRIED:
            opened = answer.knock is Knock.OPENED
            self._voices.heard(address, opened=opened, seen_at=answer.seen_at, now=self._now())
        came_by_relay = peer in self._neighbourhood.came_by_relay
        if answer.own is Own.NOT_DIRECT and came_by_relay and is_public(address):
            self._punched.add(peer)

    # Relays -----------------------------------------------------------------------------------------

    async def _reserve(self, relay: PeerId) -> None:
        """Ask `relay` for a place. Raises NetworkError if it refuses."""
        session = await self._supervisor.session()
        what = f"asking {relay} for a place"
        async with session.stream(relay, HOP_PROTOCOL, what, RESERVE_S) as (reader, writer):
            writer.write(with_length(Hop(Kind.RESERVE)))
            answer = Hop.read(await read_delimited(reader, MESSAGE_BYTES_MAX))
        if answer.status is not Status.OK:
            raise NetworkError(f"{relay} refused a place: {answer.status.name}")

    async def _open_stop(self, target: PeerId) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        session = await self._supervisor.session()
        return await session.open_stream(target, STOP_PROTOCOL)


def _address_of(stream: IncomingStream) -> str:
    """Return the address that the peer is connected from, or "" if it cannot be parsed."""
    with suppress(MessageError):
        return read_address(stream.address)
    return ""
