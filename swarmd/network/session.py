"""The life of one p2pd: the process, the DHT node over it and the calls under way.

A session ends once and for all when its process dies; `supervisor.py` opens the next one with the same key
and port. hivemind does not notice the death: stores would hang, and reads would answer "nothing" at once.
So every call runs inside `Session.call`, which ends with NetworkError when the process does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from hivemind.p2p import PeerID
from hivemind.utils.multiaddr import Multiaddr

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.addresses import PeerAddress
from swarmd.network.dht import Clock, node_id_of, open_node
from swarmd.network.p2pd import P2PD_ERRORS, P2PSettings, kill, spawn, stop
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Shelf

CONNECT_SECONDS = 8.0
"""For dialling one peer; p2pd itself gives up on a silent endpoint after 5 s."""

TRAVERSE_SECONDS = 15.0
"""For one walk through the DHT: up to eight peers on the way may be dead at 1.5 s each."""

StreamHandler = Callable[[Any, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Session:
    """A running p2pd with a DHT node over it."""

    def __init__(self, p2p: Any, node: Any) -> None:
        self._p2p = p2p
        self.node = node
        self._deadlines: set[asyncio.Timeout] = set()
        self._ended = False

    @classmethod
    async def open(
        cls,
        settings: P2PSettings,
        rules: StorageRules,
        shelf: Shelf,
        clock: Clock,
        handlers: Mapping[str, StreamHandler],
    ) -> Session:
        """Raises ConfigError (port, host) or NetworkError; leaves no process behind when it raises."""
        p2p = await spawn(settings)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                session = cls(p2p, await open_node(p2p, rules, shelf, clock))
                for protocol_id, handler in handlers.items():
                    await p2p.add_binary_stream_handler(protocol_id, handler)
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
        """Returns the exit code of p2pd once it is gone.

        It is ended when hivemind does not read its answers any more: an answer in the moment its time-out
        strikes can end that task, and no call would ever be answered again.
        """
        child, reading = self._p2p._child, self._p2p._client.control._read_task
        async with asyncio.TaskGroup() as group:
            exit_code = group.create_task(child.wait())
            await asyncio.wait([reading, exit_code], return_when=asyncio.FIRST_COMPLETED)
            if not exit_code.done():
                kill(child)
        return int(exit_code.result())

    def end(self) -> None:
        """Every call under way raises NetworkError now, and every later one at once."""
        self._ended = True
        self.node.is_alive = False
        now = asyncio.get_running_loop().time()
        for deadline in self._deadlines:
            if not deadline.expired():
                deadline.reschedule(now)

    async def close(self) -> None:
        """End, and stop the process if it still runs."""
        self.end()
        await stop(self._p2p)

    @asynccontextmanager
    async def call(self, what: str, seconds: float) -> AsyncIterator[None]:
        """What talks to p2pd happens in here. Raises NetworkError: refused, too slow, or p2pd died."""
        died = f"{what} was cut off: the p2p process died; it is being restarted"
        if self._ended:
            raise NetworkError(died)
        try:
            async with asyncio.timeout(seconds) as deadline:
                self._deadlines.add(deadline)
                try:
                    yield
                finally:
                    self._deadlines.discard(deadline)
        except TimeoutError as error:
            raise NetworkError(died if self._ended else f"{what} took longer than {seconds:.0f} s") from error
        except P2PD_ERRORS as error:
            raise NetworkError(died if self._ended else f"{what} failed: {error}") from error
        if self._ended:  # hivemind may have taken the silence for an answer
            raise NetworkError(died)

    async def dial(self, address: PeerAddress) -> None:
        """Connect to a peer. Raises NetworkError if it does not answer there."""
        try:
            transport = Multiaddr(address.transport)
        except ValueError as error:  # a DNS name that breaks IDNA's rules, for example
            raise NetworkError(f"{address} cannot be dialled: {error}") from error
        async with self.call(f"dialling {address}", CONNECT_SECONDS):
            await self._p2p._client.connect(PeerID.from_base58(address.peer_id), [transport])

    async def disconnect(self, peer_id: PeerId) -> None:
        """End the connections to a peer. Raises NetworkError."""
        async with self.call(f"disconnecting {peer_id}", CONNECT_SECONDS):
            await self._p2p._client.control.disconnect(PeerID.from_base58(peer_id))

    async def greet(self, peer_id: PeerId) -> float | None:
        """Enter each other's routing table; returns how far ahead its clock is (s), None: no answer."""
        async with self.call(f"greeting {peer_id}", CONNECT_SECONDS):
            skew: float | None = await self.node.protocol.greet(PeerID.from_base58(peer_id))
        return skew

    async def look_around(self) -> None:
        """Walk towards this peer's own place in the DHT: fills the routing table. Raises NetworkError."""
        async with self.call("looking for peers", TRAVERSE_SECONDS):
            await self.node.find_nearest_nodes([node_id_of(self._p2p.peer_id)])

    @property
    def peers_known(self) -> int:
        """Peers in the DHT's routing table."""
        return len(self.node.protocol.routing_table.uid_to_peer_id)

    async def connections(self) -> list[str]:
        """The addresses, with /p2p/ at the end, of the peers p2pd is connected to. Raises NetworkError."""
        async with self.call("listing peers", CONNECT_SECONDS):
            peers = await self._p2p.list_peers()
        return [f"{peer.addrs[0]}/p2p/{peer.peer_id}" for peer in peers if peer.addrs]

    async def own_addresses(self) -> list[str]:
        """Where p2pd says that it can be reached, with /p2p/ at the end. Raises NetworkError."""
        async with self.call("asking for own addresses", CONNECT_SECONDS):
            _, addresses = await self._p2p._client.identify()
        return [f"{address}/p2p/{self._p2p.peer_id}" for address in addresses]

    @asynccontextmanager
    async def stream(
        self, peer_id: PeerId, protocol_id: str, what: str, seconds: float
    ) -> AsyncIterator[Any]:
        """A byte stream (reader, writer) to that peer's handler. Raises NetworkError."""
        async with self.call(what, seconds):
            peer = PeerID.from_base58(peer_id)
            _, reader, writer = await self._p2p.call_binary_stream_handler(peer, protocol_id)
            try:
                yield reader, writer
            finally:
                writer.close()
