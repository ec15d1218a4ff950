"""How a peer joins the swarm's DHT and stays in it: dialling, pinging, comparing clocks, and retrying.

Starting does not wait for any peer, because all of them may be down. The doors of peers that were named or
reached are remembered, and a peer that is away is probed until it is back (`in_touch.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

import structlog

from protocol import ADDRESSES_MAX, CLOCK_SKEW_S_MAX, PeerId
from swarmd.addresses import PeerAddress, is_public, is_relayed, most_public_first, parse_peer_address
from swarmd.errors import ConfigError, NetworkError
from swarmd.network.address_book import AddressBook
from swarmd.network.clocks import Clocks, clock_problem
from swarmd.network.doors import Doors
from swarmd.network.guard import Guard
from swarmd.network.interface import ClockSkewError, LocalFailureError, NetworkClosedError
from swarmd.network.session import Session
from swarmd.network.supervisor import Supervisor

log = structlog.get_logger(__name__)

DIALS_AT_ONCE = 8
"""A dead peer takes up to 8 s, so 64 of them take a minute."""

REFRESH_S = 10.0
"""Seconds between two checks of this peer's own addresses."""

LOCATE_S = 1.0
"""Seconds between two checks of the connections while strangers make requests. Until they are located, they
share one allowance.
"""

LOOK_AROUND_S = 120.0
"""Seconds after a walk through the DHT until the next one, to meet new neighbours and drop dead ones."""

LOOK_AROUND_MANY_S = 480.0
"""The same with MANY connections. New neighbours then find this peer by their own walks, and calls find the
dead.
"""

MANY = 32
"""With this many connections this peer is part of the swarm. No single connection that is opened or closed is
then a reason to walk or to probe a door.
"""

RELAYED_MAX = 1_024
"""Peers remembered for having been connected through a relay."""

MET_MAX = 64
"""Addresses of connected peers that are redialled after a restart of p2pd."""


class Neighbourhood:
    """The peers around this one."""

    def __init__(
        self,
        supervisor: Supervisor,
        own_id: PeerId,
        announced: Sequence[PeerAddress],
        guard: Guard,
        doors: Doors,
        book: AddressBook,
    ) -> None:
        self._supervisor = supervisor
        self._guard = guard
        self._doors = doors
        self._book = book
        self._dialling = book.dialling
        self._clocks = Clocks()
        self._now = time.monotonic
        self._looked_at = float("-inf")
        self._own_id = own_id
        self._announced = tuple(str(address) for address in announced)
        self._met: tuple[PeerAddress, ...] = ()
        self._own: tuple[str, ...] = self._announced
        self._found: tuple[str, ...] = ()
        self._is_closed = False
        self.came_by_relay: OrderedDict[PeerId, None] = OrderedDict()
        """Peers that were connected through a relay, newest last."""
        self.addresses: tuple[str, ...] = self._announced
        self.connections: dict[PeerId, str] = {}
        """The peers that p2pd is connected to, each with the multiaddr of the other end."""

    @property
    def clock_problem(self) -> str | None:
        """The offset of this clock from most peers that answered recently, if worth reporting."""
        offset = self._clocks.offset(self._doors, self._now())
        return None if offset is None else clock_problem(offset, "most peers that answer")

    @property
    def seems_dialable(self) -> bool:
        """A guess: this peer has a public or relayed address, or only peers with private ones."""
        return any(map(is_public, self._own)) or not any(is_public(str(peer)) for peer in self._met)

    @property
    def private_addresses(self) -> frozenset[str]:
        """This peer's own addresses in local networks. If they change, the machine is in another network."""
        return frozenset(address for address in self._own if not is_public(address))

    def reach_at(self, found: Sequence[str], *, is_closed: bool) -> None:
        """Add multiaddrs (without our id) that lead here, reported by peers or given by relays. `is_closed`:
        most peers could not dial this one.
        """
        self._is_closed = is_closed
        self._found = tuple(f"{address}/p2p/{self._own_id}" for address in found)
        self._tell_addresses()

    def _tell_addresses(self) -> None:
        """Put reported addresses first: they work from everywhere, and this peer's own addresses may not."""
        self.addresses = tuple(dict.fromkeys((*self._found, *self._own)))[:ADDRESSES_MAX]

    async def connect(self, addresses: Sequence[str], *, named: bool) -> int:
        """See `Network.connect`. Raises ConfigError for a malformed address, and ClockSkewError."""
        wanted = [parse_peer_address(text) for text in addresses]
        strangers = [address for address in wanted if address.peer_id != self._own_id]
        if len(strangers) < len(wanted) and not set(addresses) & set(self.addresses):
            log.warning(
                "own peer id found at another address", hint="an old address, or a second copy of this key"
            )
        if named:
            for address in strangers:
                self._doors.remember(address)
        session = await self._supervisor.session()
        return await self.join(session, strangers if named else self._chosen(strangers))

    def _chosen(self, addresses: Iterable[PeerAddress]) -> list[PeerAddress]:
        """Return those addresses to dial that only strangers have named."""
        of_peer: dict[PeerId, list[PeerAddress]] = {}
        for address in addresses:
            of_peer.setdefault(address.peer_id, []).append(address)
        chosen: list[PeerAddress] = []
        for peer, several in of_peer.items():
            if self._guard.shuns(peer):
                continue
            several = [address for address in several if not self._is_knocked_at(address)]
            if peer in self.connections and several:
                chosen.append(several[0])  # p2pd does not redial a connected peer
                continue
            standing = self._guard.standing(peer)
            choice = self._dialling.choose(
                several, own=self._own, standing=standing, now=self._now(), relays=self.connections
            )
            self._guard.refused.update(f"dial_{why}" for why in choice.refused)
            chosen.extend(choice.dial)
        return chosen

    def _is_knocked_at(self, address: PeerAddress) -> bool:
        return address.peer_id in self._guard.hearing.away and address in self._doors.addresses()

    async def restore(self, session: Session) -> None:
        """Rejoin the DHT after a restart of p2pd."""
        self._looked_at = float("-inf")
        try:
            await self.refresh(session)
            await self.join(session, [*self._doors.addresses(), *self._met])
        except NetworkError as error:
            log.warning("not rejoined yet", error=str(error))

    async def refresh(self, session: Session) -> None:
        """Update this peer's addresses and connections from p2pd. Raises NetworkError."""
        if not self._announced:
            own = most_public_first(await session.own_addresses())
            self._own = tuple(str(address) for address in _readable(own))
        self._tell_addresses()
        await self.locate(session)

    async def locate(self, session: Session) -> None:
        """Update the connections from p2pd. Raises NetworkError."""
        met = _readable(await session.connections())
        direct, relayed = _by_way(met)
        # where both exist, p2pd opens its streams on the direct connection
        self.connections = relayed | direct
        for peer in relayed:
            self.came_by_relay[peer] = None
            self.came_by_relay.move_to_end(peer)
        while len(self.came_by_relay) > RELAYED_MAX:
            self.came_by_relay.popitem(last=False)
        self._guard.located(self.connections)
        self._book.located(self.connections, self.addresses, is_closed=self._is_closed)
        if met:
            self._met = tuple(met[:MET_MAX])

    async def keep_located(self) -> None:
        """Locate peers whose address is not yet known, until cancelled or closed."""
        while True:
            await self._guard.strangers_met.wait()
            self._guard.strangers_met.clear()
            if not await self._tried("locating peers", self.locate):
                return
            await asyncio.sleep(LOCATE_S)

    async def keep_hanging_up(self) -> None:
        """Disconnect the peers that the guard avoids, until cancelled or closed."""
        while True:
            peer = await self._guard.to_disconnect.get()
            if not await self._tried("hanging up", partial(Session.disconnect, peer_id=peer)):
                return

    async def _tried(self, what: str, work: Callable[[Session], Awaitable[None]]) -> bool:
        """Run `work`, logging a NetworkError. Return False if the network is closed."""
        try:
            await work(await self._supervisor.session())
        except NetworkClosedError:
            return False
        except NetworkError as error:
            log.debug("not done", what=what, error=str(error))
        return True

    async def keep_refreshed(self) -> None:
        """Update this peer's addresses, and occasionally walk the DHT, until cancelled or closed."""
        while True:
            await asyncio.sleep(REFRESH_S)
            if not await self._tried("refreshing", self.refresh):
                return
            if self.connections and self._look_is_due:
                await self._tried("looking around", self._look_around)

    @property
    def _look_is_due(self) -> bool:
        return self._now() - self._looked_at >= look_around_s(len(self.connections))

    async def _look_around(self, session: Session) -> None:
        self._looked_at = self._now()
        await session.look_around()

    async def join(self, session: Session, addresses: Iterable[PeerAddress]) -> int:
        """Dial and ping all addresses, then walk the DHT if any peer answered. Return how many answered.

        One more peer among many is no reason for a walk.

        Raises ClockSkewError if the clocks of all peers that answered disagree with this one, and
        NetworkError.
        """
        places = asyncio.Semaphore(DIALS_AT_ONCE)

        async def reach(address: PeerAddress) -> float | None:
            async with places:
                return await self._reach(session, address)

        async with asyncio.TaskGroup() as group:
            tries = {address: group.create_task(reach(address)) for address in dict.fromkeys(addresses)}
        answers = {
            address.peer_id: skew for address, task in tries.items() if (skew := task.result()) is not None
        }
        answered = _with_my_time(list(answers.values()))
        if answered:
            session.forgive()
            await self.locate(session)
            self._remember_doors(address for address, task in tries.items() if task.result() is not None)
            if answered > 1 or len(self.connections) < MANY or self._look_is_due:
                await self._look_around(session)
        return answered

    def _remember_doors(self, addresses: Iterable[PeerAddress]) -> None:
        """Remember where peers are actually connected; p2pd may have reached a peer elsewhere."""
        for address in addresses:
            if is_relayed(address.transport):
                continue  # the relay answers a probe whether or not the peer is there
            if self.connections.get(address.peer_id) == address.transport:
                self._doors.remember(address)

    async def _reach(self, session: Session, address: PeerAddress) -> float | None:
        """Dial and ping one peer. Return how many seconds its clock is ahead, or None."""
        try:
            await session.dial(address)
            skew = await self._skew(session, address.peer_id)
        except NetworkError as error:
            log.debug("peer does not answer", address=str(address), error=str(error))
            if not isinstance(error, LocalFailureError):  # of which no peer is at fault
                self._dialling.failed(address, self._now())
            return None
        self._dialling.answered(address)
        return skew

    async def greet(self, session: Session, peer: PeerId) -> bool:
        """Return whether a connected peer answers."""
        try:
            return await self._skew(session, peer) is not None
        except NetworkError as error:
            log.debug("peer does not answer", peer=peer, error=str(error))
            return False

    async def _skew(self, session: Session, peer: PeerId) -> float | None:
        skew = await session.greet(peer)
        if skew is not None:
            self._clocks.observe(peer, skew, self._now())
        return skew


def look_around_s(connections: int) -> float:
    """Return the seconds between two walks of a peer with so many connections."""
    return LOOK_AROUND_S if connections < MANY else LOOK_AROUND_MANY_S


def _by_way(met: Iterable[PeerAddress]) -> tuple[dict[PeerId, str], dict[PeerId, str]]:
    """Map peers to the multiaddr of the other end: direct connections, and relayed ones."""
    direct: dict[PeerId, str] = {}
    relayed: dict[PeerId, str] = {}
    for address in met:
        (relayed if is_relayed(address.transport) else direct)[address.peer_id] = address.transport
    return direct, relayed


def _with_my_time(skews: Sequence[float]) -> int:
    """Count the clocks that agree with this one. Raises ClockSkewError if none does."""
    agreeing = [skew for skew in skews if abs(skew) <= CLOCK_SKEW_S_MAX]
    if skews and not agreeing:
        typical = sorted(skews)[len(skews) // 2]
        raise ClockSkewError(clock_problem(typical, f"all {len(skews)} peers that answered"))
    return len(agreeing)


def _readable(addresses: Iterable[str]) -> list[PeerAddress]:
    """Drop addresses that swarmd cannot use: other libp2p nodes can have other types of key or transport."""
    readable = []
    for text in addresses:
        try:
            readable.append(parse_peer_address(text))
        except ConfigError as error:
            log.debug("address skipped", error=str(error))
    return readable
