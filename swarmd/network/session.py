"""The life of one p2pd: the process, the DHT node over it, and the calls in progress.

A session ends for good when its process dies; `supervisor.py` then opens the next one with the same key and
port. hivemind does not notice the death: stores would hang, and reads would immediately return nothing. Every
call therefore runs inside `Session.call`, which raises NetworkError when the process dies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from hivemind.p2p import PeerID

from protocol import PeerId, dht_id
from swarmd.addresses import PeerAddress
from swarmd.errors import NetworkError
from swarmd.network.address_book import AddressBook
from swarmd.network.binary_addresses import read_address, write_address
from swarmd.network.control import P2PD_ERRORS, StreamHandler
from swarmd.network.dht import SwarmDHT
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.interface import LocalFailureError
from swarmd.network.introducing import introduce
from swarmd.network.malformed import MessageError
from swarmd.network.own_announcements import OwnAnnouncements
from swarmd.network.p2pd import P2PSettings, control_of, kill, spawn, stop
from swarmd.network.pauses import Pauses
from swarmd.network.peer_ids import read_peer_id, write_peer_id
from swarmd.network.rules import StorageRules
from swarmd.network.searching import Searcher
from swarmd.network.shelf import Shelf

log = structlog.get_logger(__name__)

CONNECT_SECONDS = 8.0
"""Seconds for dialling one peer. p2pd itself gives up on a silent endpoint after 5 s."""

TRAVERSE_SECONDS = 20.0
"""Seconds for one search or store, including the wait for its turn. A walk and its stores take at most 8 s,
and as long again if the nearest nodes do not take what they are asked to.
"""

ALIVE_SECONDS = 1.0
"""Seconds for p2pd to answer anything at all after a call timed out. It needs a millisecond."""

LATE_SECONDS = 0.5
"""A time-out that fires this late shows that this process was blocked; the answer may have been in time."""

CONNECTIONS_MAX = 2_048
"""Connections that are listed. p2pd closes some beyond 512."""


class Session:
    """A running p2pd with a DHT node over it."""

    def __init__(
        self, p2p: Any, dht: SwarmDHT, searcher: Searcher, book: AddressBook, pauses: Pauses
    ) -> None:
        self._p2p = p2p
        self._book = book
        self._pauses = pauses
        self._control = control_of(p2p)
        self.dht = dht
        self.searcher = searcher
        self._deadlines: set[asyncio.Timeout] = set()
        self._ended = False

    @classmethod
    async def open(
        cls,
        settings: P2PSettings,
        rules: StorageRules,
        shelf: Shelf,
        own: OwnAnnouncements,
        guard: Guard,
        book: AddressBook,
        clock: Clock,
        pauses: Pauses,
        streams: Mapping[str, StreamHandler],
    ) -> Session:
        """Open a session. Raises ConfigError (port, host) or NetworkError, leaving no process behind."""
        p2p = await spawn(settings)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                control = control_of(p2p)
                dht = await SwarmDHT.open(p2p, control, rules, shelf, own, guard, book, clock)
                p2p._start_listening()
                await control.serve(guard, dht.handlers, dict(streams))
                session = cls(p2p, dht, Searcher(dht, guard, shelf, clock), book, pauses)
        except BaseException as error:
            await stop(p2p)
            if isinstance(error, (TimeoutError, *P2PD_ERRORS)):
                raise NetworkError(f"the p2p process started but does not answer: {error}") from error
            raise
        return session

    @property
    def process_id(self) -> int:
        return int(self._p2p._child.pid)

    async def wait_for_death(self) -> int:
        """Return the exit code of p2pd once it has exited.

        Kills p2pd if hivemind no longer reads its answers. An answer that arrives just as its time-out fires
        can end the reading task, and then no call would ever be answered again.
        """
        child, reading = self._p2p._child, self._control._read_task
        async with asyncio.TaskGroup() as group:
            exit_code = group.create_task(child.wait())
            await asyncio.wait([reading, exit_code], return_when=asyncio.FIRST_COMPLETED)
            if not exit_code.done():
                kill(child)
        return int(exit_code.result())

    def end(self) -> None:
        """Make every call in progress, and every later one, raise NetworkError."""
        self._ended = True
        self.dht.end()
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(now)

    async def close(self) -> None:
        """End the session, and stop the process if it still runs."""
        self.end()
        await stop(self._p2p)

    @asynccontextmanager
    async def call(self, what: str, seconds: float) -> AsyncIterator[None]:
        """Context for every call to p2pd.

        Raises NetworkError if the call was refused or too slow, and LocalFailureError if p2pd died or hangs,
        or if this process was blocked.
        """
        died = f"{what} was interrupted: the p2p process died and is being restarted"
        if self._ended:
            raise LocalFailureError(died)
        pauses = self._pauses.look()
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError as error:
            slow = f"{what} took longer than {seconds:.0f} s"
            if self._ended:
                raise LocalFailureError(died) from error
            if was_late(deadline) or self._pauses.look() != pauses or not await self.answers():
                raise LocalFailureError(
                    f"{slow}, because this machine's own transport was blocked"
                ) from error
            raise NetworkError(slow) from error
        except P2PD_ERRORS as error:
            if self._ended or self._p2p._child.returncode is not None:
                raise LocalFailureError(died) from error
            if self._pauses.look() != pauses:
                raise LocalFailureError(f"{what} failed when this machine woke up: {error}") from error
            raise NetworkError(f"{what} failed: {error}") from error
        if self._ended:  # hivemind may have taken the silence for an answer
            raise LocalFailureError(died)

    async def answers(self) -> bool:
        """Whether p2pd itself answers."""
        try:
            async with asyncio.timeout(ALIVE_SECONDS):
                await self._control.own_addresses()
        except (TimeoutError, *P2PD_ERRORS):
            return False
        return True

    def kill(self) -> None:
        """Kill the process, because it does not answer. `wait_for_death` then returns."""
        kill(self._p2p._child)

    def forgive(self) -> None:
        """Ask peers again that recently did not answer a search: a peer that was away is back."""
        self.searcher.forgive()

    def visit(self) -> None:
        """From now on, omit this node's DHT id from requests, so no peer adds it to a routing table."""
        self.dht.hide()

    async def dial(self, address: PeerAddress) -> None:
        """Connect to a peer. Raises NetworkError if it does not answer at the address."""
        async with self.call(f"dialling {address}", CONNECT_SECONDS):
            await self._control.dial(write_peer_id(address.peer_id), [write_address(address.transport)])

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close the connections to a peer. Raises NetworkError."""
        async with self.call(f"disconnecting {peer_id}", CONNECT_SECONDS):
            await self._control.hang_up(write_peer_id(peer_id))

    async def greet(self, peer_id: PeerId) -> float | None:
        """Enter each other's routing table. Return how many seconds the peer's clock is ahead, or None
        without an answer.
        """
        async with self.call(f"greeting {peer_id}", CONNECT_SECONDS):
            skew: float | None = await self.dht.greet(PeerID.from_base58(peer_id))
        return skew

    async def told_under(self, key: bytes, peer_id: PeerId) -> list[bytes]:
        """Return what a connected peer tells under its own `key`. Raises NetworkError without an answer."""
        async with self.call(f"asking {peer_id}", CONNECT_SECONDS):
            answers = await self.dht.find(PeerID.from_base58(peer_id), [dht_id(key)])
        if answers is None:
            raise NetworkError(f"{peer_id} does not answer")
        return [held.value for answer in answers for held in answer.entries.values()]

    async def look_around(self) -> None:
        """Walk towards this peer's own DHT id, to fill the routing table. Raises NetworkError."""
        async with self.call("looking for peers", TRAVERSE_SECONDS):
            await self.searcher.look_around()

    @property
    def peers_known(self) -> int:
        """The number of peers in the DHT's routing table."""
        return len(self.dht.routing_table.uid_to_peer_id)

    async def connections(self) -> list[str]:
        """Return the addresses, ending in /p2p/, of the connected peers. Raises NetworkError."""
        async with self.call("listing peers", CONNECT_SECONDS):
            peers = await self._control.connections()
        return [text for peer, address in peers[:CONNECTIONS_MAX] for text in _readable(peer, [address])]

    async def own_addresses(self) -> list[str]:
        """Return p2pd's own view of its addresses, ending in /p2p/. Raises NetworkError."""
        async with self.call("asking for own addresses", CONNECT_SECONDS):
            addresses = await self._control.own_addresses()
        return list(_readable(self._p2p.peer_id.to_bytes(), addresses))

    async def open_stream(
        self, peer_id: PeerId, protocol_id: str
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a byte stream that outlives the call. The caller bounds and closes it. Raises P2PD_ERRORS."""
        return await self._control.open_stream(write_peer_id(peer_id), protocol_id)

    @asynccontextmanager
    async def stream(
        self, peer_id: PeerId, protocol_id: str, what: str, seconds: float
    ) -> AsyncIterator[Any]:
        """A byte stream (reader, writer) to the peer's handler. Raises NetworkError."""
        async with self.call(what, seconds):
            await introduce(self._control, self._book, peer_id)
            reader, writer = await self._control.open_stream(write_peer_id(peer_id), protocol_id)
            try:
                yield reader, writer
            finally:
                writer.close()


def was_late(deadline: asyncio.Timeout) -> bool:
    """Whether a time-out fired so late that this process must have been blocked."""
    due = deadline.when()
    return due is not None and asyncio.get_running_loop().time() - due > LATE_SECONDS


def _readable(peer: bytes, addresses: Iterable[bytes]) -> Iterator[str]:
    """Convert to text ending in /p2p/, dropping addresses that only other libp2p nodes can use."""
    for address in addresses:
        try:
            yield f"{read_address(address)}/p2p/{read_peer_id(peer)}"
        except MessageError as error:
            log.debug("address skipped", error=str(error))
