"""Keeps in touch with the peers it was connected to, so that the end of an outage is noticed in seconds.

Every TOUCH_S it greets peers that were silent and knocks at the doors of peers that are away. If a peer does
not answer on its connection but opens its door to a new one, it is dialled anew: TCP may stay silent for as
long again as an outage lasted. A peer that is back is greeted, which puts each into the
other's routing table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import structlog

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.doors import Doors, opens
from swarmd.network.hearing import Hearing
from swarmd.network.interface import ClockSkewError, NetworkClosedError
from swarmd.network.neighbourhood import Neighbourhood
from swarmd.network.pauses import LOOK_S, Pauses
from swarmd.network.session import Session
from swarmd.network.supervisor import Supervisor

log = structlog.get_logger(__name__)

TOUCH_S = 1.0
"""Seconds between two rounds; doors have their own pace."""

SILENT_S = 10.0
"""Seconds of silence after which a connected peer is greeted, even if nothing puts it in doubt."""

GREETINGS_AT_ONCE = 8
"""Greetings in one round; each is a message of 100 bytes there and back, and takes 1.5 s at most."""


SILENT_MANY = 32
SILENT_ROUNDS_MAX = 4
"""Of so many silent peers one is greeted every second round, of twice as many every third, and of any number
in one of SILENT_ROUNDS_MAX. With its stream a greeting costs 1 KB on the wire, and in a large swarm most of
hundreds of connections are silent."""

UNANSWERED_MAX = 4
"""Greetings in a row that a connected peer without a door may leave unanswered. Then the connection is ended,
so that the peer makes a new one."""


class InTouch:
    """One peer's watch over its neighbours."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        supervisor: Supervisor,
        hearing: Hearing,
        doors: Doors,
        pauses: Pauses,
    ) -> None:
        self._neighbourhood = neighbourhood
        self._supervisor = supervisor
        self._hearing = hearing
        self._doors = doors
        self._pauses = pauses
        self._pauses_seen = 0
        self._rounds = 0

    async def keep_looking(self) -> None:
        """Notice pauses of this machine, until cancelled. `keep` cannot: its rounds may take seconds."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._pauses.look()

    async def keep(self) -> None:
        """Do a round every TOUCH_S, until cancelled or closed."""
        while True:
            await asyncio.sleep(TOUCH_S)
            try:
                await self._round(await self._supervisor.session())
            except NetworkClosedError:
                return
            except ClockSkewError as error:
                log.warning("not joined", error=str(error))
            except NetworkError as error:
                log.debug("out of touch", error=str(error))

    async def _round(self, session: Session) -> None:
        await self._neighbourhood.locate(session)
        connected = self._neighbourhood.connections
        if self._pauses.look() != self._pauses_seen:
            self._pauses_seen = self._pauses.times
            log.warning("this machine slept or stood still", seconds=round(self._pauses.last_s))
            self._doors.wake()
            for peer in connected:
                self._hearing.doubt(peer)
        stale = await self._greet(session, self._to_greet(connected))
        knock = self._doors.due(frozenset(connected) - stale, asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as group:
            knocks = {address: group.create_task(opens(address)) for address in knock}
        opened = [address for address, task in knocks.items() if task.result()]
        self._hearing.away = frozenset(self._doors.away(connected)) - {door.peer_id for door in opened}
        for address in opened:
            if address.peer_id in stale:
                await session.disconnect(address.peer_id)
                self._neighbourhood.connections.pop(address.peer_id, None)
        if opened:
            back = await self._neighbourhood.join(session, opened)
            log.info("knocked", opened=len(opened), back=back)

    def _to_greet(self, connected: Iterable[PeerId]) -> list[PeerId]:
        """Peers in doubt, those with a door first: anybody can connect here under any number of names.

        Of peers that are merely silent one, and among many of them not in every round. Those with and without
        a door take turns.
        """
        uncertain = [peer for peer in self._hearing.uncertain if peer in connected]
        uncertain.sort(key=lambda peer: peer not in self._doors)
        silent = [peer for peer in connected if self._hearing.unanswering_s(peer) > SILENT_S]
        silent.sort(key=self._hearing.unanswering_s, reverse=True)
        self._rounds += 1
        pause = min(SILENT_ROUNDS_MAX, 1 + len(silent) // SILENT_MANY)
        turn, due = divmod(self._rounds, pause)
        silent.sort(key=lambda peer: (peer in self._doors) is not bool(turn % 2))
        return list(dict.fromkeys([*([] if due else silent[:1]), *uncertain]))[:GREETINGS_AT_ONCE]

    async def _greet(self, session: Session, peers: Iterable[PeerId]) -> frozenset[PeerId]:
        """Greet connected peers. Returns those that do not answer.

        A connection to a peer without a door is ended once it is clearly useless: the peer is there but does
        not answer on it, or it has not answered for long.
        """
        async with asyncio.TaskGroup() as group:
            greetings = {peer: group.create_task(self._neighbourhood.greet(session, peer)) for peer in peers}
        stale = frozenset(peer for peer, greeting in greetings.items() if not greeting.result())
        for peer in stale:
            times = self._hearing.times_unanswered(peer)
            if peer not in self._doors and (times >= UNANSWERED_MAX or self._hearing.asked_lately(peer)):
                await session.disconnect(peer)
        return stale
