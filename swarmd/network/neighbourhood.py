"""How a peer gets into the swarm's DHT and stays there: dialling, greeting, clocks, and trying again.

Starting alone always works. Peers once named (or met) are remembered, and as long as the routing table is
empty they are tried again: at start everybody may be dead, and one may come back.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import structlog

from protocol import ADDRESSES_MAX, CLOCK_SKEW_S_MAX, PeerId
from swarmd.errors import ConfigError, NetworkError
from swarmd.network.addresses import PeerAddress, is_public, most_public_first, parse_peer_address
from swarmd.network.interface import ClockSkewError, NetworkClosedError
from swarmd.network.session import Session
from swarmd.network.supervisor import Supervisor

log = structlog.get_logger(__name__)

REMEMBERED_MAX = 64
"""Addresses to try again; the daemon's database keeps more across starts."""

DIALS_AT_ONCE = 8
"""A dead peer takes up to 8 s; 64 of them a minute."""

REJOIN_S = 1.0
"""Seconds before the first attempt to rejoin; doubled after each that fails."""

REJOIN_S_MAX = 60.0
"""Seconds between two attempts at most: who comes back is found within a minute."""

REFRESH_S = 10.0
"""Seconds between two looks at connections and own addresses."""

LOOK_AROUND_S = 60.0
"""Seconds between two walks through the DHT: newcomers nearby are met, the dead are forgotten."""

SKEW_NOTICED_S = 3.0
"""Seconds between two clocks that are worth a warning; hivemind itself refuses joins beyond it."""


class Neighbourhood:
    """The peers around this one."""

    def __init__(self, supervisor: Supervisor, own_id: PeerId, announced: Sequence[PeerAddress]) -> None:
        self._supervisor = supervisor
        self._own_id = own_id
        self._announced = tuple(str(address) for address in announced)
        self._remembered: OrderedDict[PeerId, PeerAddress] = OrderedDict()
        self._met: tuple[PeerAddress, ...] = ()
        self.addresses: tuple[str, ...] = self._announced
        self.connections: dict[PeerId, str] = {}
        """The peers p2pd is connected to, each with the multiaddr at the other end."""
        self.clock_problem: str | None = None
        """How far off this machine's clock is by all that answered the last time, if it is too far."""

    @property
    def seems_dialable(self) -> bool:
        """A guess: it has a public (or relayed) address, or everybody it is connected to is as private."""
        return any(map(is_public, self.addresses)) or not any(is_public(str(peer)) for peer in self._met)

    async def connect(self, addresses: Sequence[str]) -> int:
        """As `Network.connect`. Raises ConfigError for a malformed address and ClockSkewError."""
        wanted = [parse_peer_address(text) for text in addresses]
        strangers = [address for address in wanted if address.peer_id != self._own_id]
        if len(strangers) < len(wanted) and not set(addresses) & set(self.addresses):
            log.warning(
                "own peer id under another address", hint="an old address, or a second copy of this key"
            )
        for address in strangers:
            self._remember(address)
        return await self._join(await self._supervisor.session(), strangers)

    async def restore(self, session: Session) -> None:
        """Back into the DHT after a restart of p2pd."""
        try:
            await self.refresh(session)
            await self._join(session, [*self._remembered.values(), *self._met])
        except NetworkError as error:
            log.warning("not rejoined yet", error=str(error))

    async def refresh(self, session: Session) -> None:
        """Ask p2pd anew for own addresses and connections. Raises NetworkError."""
        if not self._announced:
            own = most_public_first(await session.own_addresses())
            self.addresses = tuple(str(address) for address in _readable(own))[:ADDRESSES_MAX]
        met = _readable(await session.connections())
        self.connections = {address.peer_id: address.transport for address in met}
        if met:
            self._met = tuple(met[:REMEMBERED_MAX])

    async def keep_joined(self) -> None:
        """Refresh, look around, and rejoin while the routing table is empty; until cancelled or closed."""
        loop = asyncio.get_running_loop()
        pause, looked = REJOIN_S, loop.time()
        while True:
            await asyncio.sleep(pause)
            try:
                session = await self._supervisor.session()
                await self.refresh(session)
                if session.peers_known:
                    pause = REFRESH_S
                    if loop.time() - looked >= LOOK_AROUND_S:
                        looked = loop.time()
                        await session.look_around()
                elif self._remembered or self._met:
                    pause = min(2 * pause, REJOIN_S_MAX)
                    if await self._join(session, [*self._remembered.values(), *self._met]):
                        log.info("joined again", peers=session.peers_known)
                        pause = REJOIN_S
                else:
                    pause = REJOIN_S
            except NetworkClosedError:
                return
            except ClockSkewError as error:
                log.warning("not joined", error=str(error))
            except NetworkError as error:
                log.debug("peers not refreshed", error=str(error))

    async def _join(self, session: Session, addresses: Iterable[PeerAddress]) -> int:
        """Greet all, then look around if any is there; returns how many peers answered."""
        places = asyncio.Semaphore(DIALS_AT_ONCE)

        async def greet(address: PeerAddress) -> float | None:
            async with places:
                try:
                    await session.dial(address)
                    return await session.greet(address.peer_id)
                except NetworkError as error:
                    log.debug("peer does not answer", address=str(address), error=str(error))
                    return None

        async with asyncio.TaskGroup() as group:
            greetings = {address: group.create_task(greet(address)) for address in dict.fromkeys(addresses)}
        answers = {
            address.peer_id: skew
            for address, task in greetings.items()
            if (skew := task.result()) is not None
        }
        answered = self._with_my_time(list(answers.values()))
        if answered:
            self.clock_problem = None
            await session.look_around()
        return answered

    def _with_my_time(self, skews: Sequence[float]) -> int:
        """How many clocks agree with this one; warns when they do not. Raises ClockSkewError if none does."""
        agreeing = [skew for skew in skews if abs(skew) <= CLOCK_SKEW_S_MAX]
        if skews and not agreeing:
            typical = sorted(skews)[len(skews) // 2]
            self.clock_problem = (
                f"this machine's clock is {abs(typical):.0f} s {'behind' if typical > 0 else 'ahead of'} all "
                f"{len(skews)} peers that answered; beyond {CLOCK_SKEW_S_MAX} s its records are refused: "
                "set the clock (timedatectl set-ntp true, or ntpdate) and start again"
            )
            raise ClockSkewError(self.clock_problem)
        for skew in skews:
            if abs(skew) > SKEW_NOTICED_S:
                log.warning(
                    "clocks differ", peer_is_ahead_s=round(skew, 1), hint="is NTP running on this machine?"
                )
        return len(agreeing)

    def _remember(self, address: PeerAddress) -> None:
        self._remembered[address.peer_id] = address
        self._remembered.move_to_end(address.peer_id)
        if len(self._remembered) > REMEMBERED_MAX:
            self._remembered.popitem(last=False)


def _readable(addresses: Iterable[str]) -> list[PeerAddress]:
    """Those that are addresses of ours: a foreign libp2p node may have another kind of key or transport."""
    readable = []
    for text in addresses:
        try:
            readable.append(parse_peer_address(text))
        except ConfigError as error:
            log.debug("address skipped", error=str(error))
    return readable
