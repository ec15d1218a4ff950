"""Hands a newcomer in the DHT the values that it should hold, in the background and at a bounded pace.

hivemind scans everything it holds at once for each newcomer, so peers that repeatedly join and leave would
keep the event loop busy.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from hivemind.dht.routing import DHTID, RoutingTable
from hivemind.p2p import PeerID

from swarmd.network.dht_ids import node_id_of
from swarmd.network.dht_storage import IS_REGULAR_VALUE, Clock
from swarmd.network.messages import STORE_BYTES_MAX, STORE_ITEMS_MAX
from swarmd.network.newest import put_newest
from swarmd.network.packing import write_bin
from swarmd.network.shelf import Shelf

REPLICAS = 5
"""Nodes that hold each value. With 5 of 16 peers killed, nothing was lost."""

NEWCOMERS_MAX = 64
"""Newcomers in the queue. Other replicas that met a newcomer make up for any that are dropped."""

HANDED_AT_ONCE = 8
HAND_OVER_S = 4.0
"""Messages sent to a newcomer at once, and seconds before each further one: half the burst of `rates.py` and
a quarter of its rate. Announcements can take two thirds of that rate at the same time.
"""

HANDED_MAX = 32
"""Messages for one newcomer: 96 seconds, during which others wait, and 2,048 entries. The other replicas that
met it send as many.
"""

AGAIN_S = 60.0
"""Seconds during which a newcomer that is met again gets no burst. A routing table can drop and re-add a peer
several times while it starts, and several bursts would look like a flood to it.
"""

KEYS_AT_ONCE = 64
"""Keys checked before other tasks get a turn: 64 take 3 ms."""

Packed = tuple[bytes, bytes, bytes, float]
"""(key, subkey, value, expiry) in wire format."""

Store = Callable[[PeerID, Sequence[Packed]], Awaitable[Any]]
"""Sends one store message. Returns None on failure."""


class HandingOver:
    """The queue of newcomers, and the task that serves it."""

    def __init__(
        self,
        node_id: DHTID,
        table: RoutingTable,
        shelf: Shelf,
        clock: Clock,
        store: Store,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_id = node_id
        self._table = table
        self._shelf = shelf
        self._clock = clock
        self._store = store
        self._monotonic = monotonic
        self._newcomers: dict[PeerID, None] = {}
        self._some = asyncio.Event()
        self._last_burst: OrderedDict[PeerID, float] = OrderedDict()

    def met(self, newcomer: PeerID) -> None:
        """Queue a peer that was not in the routing table before."""
        if len(self._newcomers) < NEWCOMERS_MAX:
            self._newcomers[newcomer] = None
            self._some.set()

    async def run(self) -> None:
        """Serve newcomers one after the other, until cancelled."""
        while True:
            await self._some.wait()
            newcomer = next(iter(self._newcomers))
            await self._hand_over(newcomer)
            del self._newcomers[newcomer]
            if not self._newcomers:
                self._some.clear()

    async def _hand_over(self, newcomer: PeerID) -> None:
        theirs: list[bytes] = []
        for index, name in enumerate(self._shelf.held_keys()):
            if index % KEYS_AT_ONCE == 0:
                await asyncio.sleep(0)
            if self._belongs_to(newcomer, DHTID.from_bytes(name)):
                theirs.append(name)
        things = (thing for name in theirs for thing in self._held(name))
        at_once = HANDED_AT_ONCE if self._may_burst(newcomer) else 0
        for index, batch in enumerate(islice(messages_of(things), HANDED_MAX)):
            if index >= at_once:
                await asyncio.sleep(HAND_OVER_S)
            if await self._store(newcomer, batch) is None:
                return

    def _may_burst(self, newcomer: PeerID) -> bool:
        now = self._monotonic()
        may = now - self._last_burst.get(newcomer, -AGAIN_S) >= AGAIN_S
        if may:
            put_newest(self._last_burst, newcomer, now, NEWCOMERS_MAX)
        return may

    def _belongs_to(self, newcomer: PeerID, key: DHTID) -> bool:
        """hivemind's rule: the newcomer is among the nearest to the key, and this peer is nearest of all the
        others.
        """
        node_id = node_id_of(newcomer)
        others = self._table.get_nearest_neighbors(key, REPLICAS, exclude=node_id)
        if not others:
            return True
        nearest, farthest = (others[position][0].xor_distance(key) for position in (0, -1))
        return bool(node_id.xor_distance(key) < farthest and self._node_id.xor_distance(key) < nearest)

    def _held(self, name: bytes) -> Iterator[Packed]:
        now = self._clock()
        plain = self._shelf.plain(name, now)
        if plain is not None:
            yield name, packed_subkey(None), write_bin(plain.value), plain.expires
        for subkey, held in self._shelf.entries(name, now).items():
            yield name, packed_subkey(subkey), write_bin(held.value), held.expires


def packed_subkey(subkey: bytes | None) -> bytes:
    """Return a subkey in wire format. None means a plain value."""
    return IS_REGULAR_VALUE if subkey is None else write_bin(subkey)


def messages_of(items: Iterable[Packed]) -> Iterator[list[Packed]]:
    """Group entries into store messages within the bounds of `messages.py`."""
    batch: list[Packed] = []
    size = 0
    for item in items:
        if batch and (len(batch) == STORE_ITEMS_MAX or size + len(item[2]) > STORE_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item[2])
    if batch:
        yield batch
