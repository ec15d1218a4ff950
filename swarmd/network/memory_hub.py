"""What connects the peers in memory of one process: latency, loss and partitions, from a seed."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Sequence

from protocol import KeyPair, PeerId
from swarmd.errors import NetworkError
from swarmd.network.memory import MemoryNetwork
from swarmd.network.rules import KnownManifest

LOST_SECONDS = 1.5
"""Seconds after which an unanswered message counts as lost, as in `dht.py`."""

Sleep = Callable[[float], Awaitable[None]]


class MemoryHub:
    """Connects the peers of one experiment. The same seed and calls produce the same events."""

    def __init__(
        self,
        rng: random.Random,
        clock: Callable[[], float],
        latency: float = 0.02,
        loss: float = 0.0,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """`latency`: mean seconds of one message, uniform within +-50%; `loss`: probability
        that it is lost.
        """
        self._rng = rng
        self.clock = clock
        self._latency = latency
        self._loss = loss
        self._sleep = sleep
        self._peers: dict[PeerId, MemoryNetwork] = {}
        self._joined: dict[PeerId, set[PeerId]] = {}
        self._side: dict[PeerId, int] = {}
        self._ports = 0

    def network(
        self, key: KeyPair, swarm: KnownManifest | None = None, *, dialable: bool = True
    ) -> MemoryNetwork:
        """Create a peer that is alone until it connects. `swarm` None: that of the manifest it serves."""
        if key.peer_id in self._peers:
            raise NetworkError(f"{key.peer_id} is already running: a key can be used by only one peer")
        self._ports += 1
        address = f"/ip4/127.0.0.1/tcp/{self._ports}/p2p/{key.peer_id}"
        network = MemoryNetwork(self, key.peer_id, address, swarm, dialable=dialable)
        self._peers[key.peer_id] = network
        self._joined[key.peer_id] = {key.peer_id}
        return network

    def partition(self, *sides: Sequence[PeerId]) -> None:
        """Cut the connections between peers on different sides. Peers not listed form one more side."""
        self._side = {peer: index for index, side in enumerate(sides, 1) for peer in side}

    def heal(self) -> None:
        """End all partitions."""
        self._side = {}

    def leave(self, peer: PeerId) -> None:
        """Remove a peer that closed."""
        self._peers.pop(peer, None)
        self._joined.pop(peer, None)
        for joined in self._joined.values():
            joined.discard(peer)

    def join(self, peer: PeerId, other: PeerId) -> None:
        """From now on, both peers and all peers joined to either one share one DHT."""
        if self._joined[peer] is self._joined[other]:
            return
        together = self._joined[peer] | self._joined[other]
        for member in together:
            self._joined[member] = together
        for member in sorted(together):
            self._peers[member].hand_over()

    def nearest(self, peer: PeerId, key: bytes) -> list[MemoryNetwork]:
        """Return the peers that `peer` can reach, including itself, nearest to `key` first."""
        reachable = [other for other in self._joined[peer] if self._hear_each_other(peer, other)]
        reachable.sort(key=lambda other: hashlib.sha256(key + other.encode()).digest())
        return [self._peers[other] for other in reachable]

    async def reach(self, source: PeerId, target: PeerId) -> MemoryNetwork:
        """Exchange one message. Raises NetworkError if it is lost, partitioned off, or nobody is there."""
        if target not in self._peers:
            await self._sleep(self._delay())
            raise NetworkError(f"{target} does not answer")
        if source != target:
            await self._sleep(self._delay())
            if not self._hear_each_other(source, target) or self._rng.random() < self._loss:
                await self._sleep(LOST_SECONDS)
                raise NetworkError(f"{target} did not answer within {LOST_SECONDS} s")
            await self._sleep(self._delay())
        if target not in self._peers:
            raise NetworkError(f"{target} left")
        return self._peers[target]

    def _delay(self) -> float:
        return self._latency * self._rng.uniform(0.5, 1.5)

    def _hear_each_other(self, peer: PeerId, other: PeerId) -> bool:
        return self._side.get(peer, 0) == self._side.get(other, 0)
