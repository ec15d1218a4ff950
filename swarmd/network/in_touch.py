"""Keeps in touch with the peers that this one was connected to, so it notices the end of an outage in
seconds.

Every TOUCH_S it pings silent peers and probes the doors of peers that are away. A peer that does not answer
on its connection but accepts a new one is redialled, because TCP can stay silent for as long again as the
outage lasted. A peer that is back is pinged, which puts each in the other's routing table.

With many connections, it also closes those that nobody uses (`idle.py`). A peer that closes one is not away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Iterable, Mapping

import structlog

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.doors import Doors, opens
from swarmd.network.hearing import Hearing
from swarmd.network.idle import IdleConnections
from swarmd.network.interface import ClockSkewError, NetworkClosedError
from swarmd.network.neighbourhood import MANY, Neighbourhood
from swarmd.network.pauses import LOOK_S, Pauses
from swarmd.network.session import Session
from swarmd.network.supervisor import Supervisor

log = structlog.get_logger(__name__)

TOUCH_S = 1.0
"""Seconds between two rounds. Doors have their own pace."""

SILENT_S = 10.0
"""Seconds of silence after which a connected peer is pinged, even if nothing casts doubt on it."""

GREETINGS_AT_ONCE = 8
"""Pings in one round. Each is a message of 100 bytes there and back, and takes at most 1.5 s."""


SILENT_MANY = 16
SILENT_ROUNDS_MAX = 15
"""With SILENT_MANY silent peers, one is pinged every second round, with half as many more every sixth, and
with twice as many every SILENT_ROUNDS_MAX rounds. A ping with its stream costs 1 KB on the wire, and in a
large swarm most connections are silent. There, other requests notice an outage, and p2pd closes a dead
connection within a minute by itself.
"""

UNANSWERED_MAX = 4
"""Pings in a row that a connected peer without a door can leave unanswered. Its connection is then closed, so
that the peer opens a new one.
"""


class InTouch:
    """Watches the peers that this one was connected to."""

    def __init__(
        self,
        neighbourhood: Neighbourhood,
        supervisor: Supervisor,
        hearing: Hearing,
        doors: Doors,
        pauses: Pauses,
        needed: Callable[[], Container[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`needed`: the peers that stay connected even if nothing is requested from them."""
        self._neighbourhood = neighbourhood
        self._supervisor = supervisor
        self._hearing = hearing
        self._doors = doors
        self._pauses = pauses
        self._needed = needed
        self._idle = IdleConnections(hearing, monotonic)
        self._pauses_seen = 0
        self._rounds = 0

    async def keep_looking(self) -> None:
        """Detect pauses of this machine, until cancelled. `keep` cannot, as its rounds can take seconds."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._pauses.look()

    async def keep(self) -> None:
        """Run a round every TOUCH_S, until cancelled or closed."""
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
            log.warning("this machine slept or was suspended", seconds=round(self._pauses.last_s))
            self._doors.wake()
            for peer in connected:
                self._hearing.doubt(peer)
        stale = await self._greet(session, self._to_greet(connected))
        present = self._present(connected)
        knock = self._doors.due(present - stale, asyncio.get_running_loop().time())
        async with asyncio.TaskGroup() as group:
            knocks = {address: group.create_task(opens(address)) for address in knock}
        opened = [address for address, task in knocks.items() if task.result()]
        self._hearing.away = frozenset(self._doors.away(present)) - {door.peer_id for door in opened}
        for address in opened:
            if address.peer_id in stale:
                await session.disconnect(address.peer_id)
                self._neighbourhood.connections.pop(address.peer_id, None)
        if opened:
            back = await self._neighbourhood.join(session, opened)
            log.info("doors probed", opened=len(opened), back=back)
        await self._close_idle(session)

    def _present(self, connected: Mapping[PeerId, str]) -> frozenset[PeerId]:
        """Return the peers that are not away.

        With many connections these include peers that are merely not connected: they closed an idle
        connection, and an outage would have taken the others too. Such a peer is away once it leaves a
        request unanswered.
        """
        if len(connected) < MANY:
            return frozenset(connected)
        failed = {*self._hearing.uncertain, *self._hearing.away}
        return frozenset(connected) | (self._doors.peers - failed)

    async def _close_idle(self, session: Session) -> None:
        connections = self._neighbourhood.connections
        for peer in self._idle.to_close(connections, self._needed()):
            await session.disconnect(peer)
            connections.pop(peer, None)

    def _to_greet(self, connected: Iterable[PeerId]) -> list[PeerId]:
        """Return the peers to ping: those in doubt, with peers that have a door first, because anyone can
        connect under any number of names.

        Add one of the peers that are merely silent, though not in every round if there are many. Those with
        and without a door take turns.
        """
        uncertain = [peer for peer in self._hearing.uncertain if peer in connected]
        uncertain.sort(key=lambda peer: peer not in self._doors)
        silent = [peer for peer in connected if self._hearing.unanswering_s(peer) > SILENT_S]
        silent.sort(key=self._hearing.unanswering_s, reverse=True)
        self._rounds += 1
        pause = min(SILENT_ROUNDS_MAX, 1 + int((len(silent) / SILENT_MANY) ** 4))
        turn, due = divmod(self._rounds, pause)
        silent.sort(key=lambda peer: (peer in self._doors) is not bool(turn % 2))
        return list(dict.fromkeys([*([] if due else silent[:1]), *uncertain]))[:GREETINGS_AT_ONCE]

    async def _greet(self, session: Session, peers: Iterable[PeerId]) -> frozenset[PeerId]:
        """Ping connected peers and return those that do not answer.

        Close the connection to a peer without a door once it is clearly useless: the peer sends requests but
        does not answer on this connection, or it has not answered for a long time.
        """
        async with asyncio.TaskGroup() as group:
            greetings = {peer: group.create_task(self._neighbourhood.greet(session, peer)) for peer in peers}
        stale = frozenset(peer for peer, greeting in greetings.items() if not greeting.result())
        for peer in stale:
            times = self._hearing.times_unanswered(peer)
            if peer not in self._doors and (times >= UNANSWERED_MAX or self._hearing.asked_lately(peer)):
                await session.disconnect(peer)
        return stale
