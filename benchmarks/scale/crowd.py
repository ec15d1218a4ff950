"""All nodes of a simulated swarm: their positions in the DHT, and which peers the statistical ones know.

A statistical peer has no state machine. It has an id, and thus a position in the DHT, and the routing table
of a settled hivemind node, and it publishes (`publications.py`). Its own requests are not simulated:
`load.py` adds them up afterwards, from what the real machines did.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hivemind.p2p import PeerID
from numpy.typing import NDArray

from benchmarks.scale.workload import key_of
from protocol import KeyPair, PeerId
from swarmd.network.binary_addresses import write_address
from swarmd.network.dht import BUCKET_SIZE, NAMED
from swarmd.network.dht_ids import node_id_of
from swarmd.network.peer_ids import read_peer_id, write_peer_id

GROUP_BITS = 5
"""hivemind splits every bucket of a routing table down to this depth, and deeper only towards the table's
owner.
"""

NEAR = 8
"""Nodes nearest to a key, at which every walk towards it ends (`walk.BEAM`)."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Node:
    """One peer of the swarm."""

    key: KeyPair
    peer: PeerID
    place: int
    """Its DHT id."""
    name: PeerId
    address: str
    """Its multiaddr; each has its own address group."""

    binary: bytes
    """The same as messages have it."""

    @property
    def full_address(self) -> str:
        return f"{self.address}/p2p/{self.name}"


class Crowd:
    """The nodes by number. Those from `size` on joined later, and are unknown to the others."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self._seed = size, seed
        self.nodes: list[Node] = []
        self.number_of: dict[PeerId, int] = {}
        for _ in range(size):
            self.add()
        self._places = np.array([node.place >> 96 for node in self.nodes], dtype=np.uint64)
        groups = self._places >> np.uint64(64 - GROUP_BITS)
        self._groups = [np.flatnonzero(groups == each) for each in range(2**GROUP_BITS)]
        self._tables: dict[int, Numbers] = {}
        self.nearest = lru_cache(65_536)(self._nearest)
        """`(key, count)` -> the nodes nearest to a key, nearest first."""

    def add(self) -> int:
        """Add one node. Returns its number."""
        number = len(self.nodes)
        key = key_of(self._seed, number)
        peer = PeerID(write_peer_id(key.peer_id))
        address = f"/ip4/{20 + (number >> 14)}.{number >> 6 & 255}.{(number & 63) * 4}.1/tcp/4001"
        name = read_peer_id(peer.to_bytes())
        node = Node(key, peer, int(node_id_of(peer)), name, address, write_address(address))
        self.nodes.append(node)
        self.number_of[node.name] = number
        return number

    def number(self, peer: PeerID) -> int:
        return self.number_of[read_peer_id(peer.to_bytes())]

    def table(self, number: int) -> Numbers:
        """Return the nodes that a settled node knows: all in its own 32nd of the space, 20 in each other
        32nd.
        """
        if number not in self._tables:
            rng = np.random.default_rng((self._seed, number))
            own = self.nodes[number].place >> (160 - GROUP_BITS)
            known = [
                members
                if index == own or len(members) <= BUCKET_SIZE
                else rng.choice(members, BUCKET_SIZE, replace=False)
                for index, members in enumerate(self._groups)
            ]
            together = np.concatenate(known)
            self._tables[number] = together[together != number]
        return self._tables[number]

    def names(self, number: int, key: int, asker: int) -> list[int]:
        """Return the nodes that a settled node names to `asker` as near to `key`."""
        found = self._sorted(self.table(number), key, NAMED + 1)
        return [each for each in found if each != asker][:NAMED]

    def _nearest(self, key: int, count: int = NEAR) -> tuple[int, ...]:
        return tuple(self._sorted(np.arange(self.size), key, count))

    def _sorted(self, numbers: Numbers, key: int, count: int) -> list[int]:
        distances = self._places[numbers] ^ np.uint64(key >> 96)
        if len(numbers) > count:
            some = np.argpartition(distances, count)[:count]
            numbers, distances = numbers[some], distances[some]
        return [int(number) for number in numbers[np.argsort(distances)]]
