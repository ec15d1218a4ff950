"""Finds and stores values in the DHT even if hostile nodes sit next to every key.

The nodes nearest to a key may belong to an attacker: they claim to hold what they drop, return no neighbours,
refuse, or delay. Nothing therefore depends on those nodes alone:

- what this peer publishes also stays on its own shelf, and goes to contacts in addition to the nearest nodes
  (`storing.py`);
- a read asks contacts in addition to the nearest nodes, and merges all answers;
- no answer is awaited for longer than other nodes need (`walking.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

from protocol import Placement, dht_id
from swarmd.network.answers import Answer
from swarmd.network.dht import SwarmDHT
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.shelf import Shelf
from swarmd.network.storing import Holding, Storing, Thing
from swarmd.network.walking import Walks


class Searcher:
    """All walks of one DHT node."""

    def __init__(
        self,
        dht: SwarmDHT,
        guard: Guard,
        shelf: Shelf,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._node_id = dht.node_id
        self._shelf = shelf
        self._clock = clock
        self._walks = Walks(dht, guard, clock, monotonic)
        self._storing = Storing(self._walks, clock, monotonic)

    async def entries(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the live entries under `keys` from all nodes that answer in time."""
        found = {
            int.from_bytes(name): dict(self._shelf.entries(name, self._clock())) for name in map(dht_id, keys)
        }

        def take(key: int, answer: Answer) -> None:
            for subkey, held in answer.entries.items():
                if subkey not in found[key] or found[key][subkey].expires < held.expires:
                    found[key][subkey] = held

        await self._walks.walk(list(found), partial(self._walks.find, take=take))
        return list(dict.fromkeys(held.value for entries in found.values() for held in entries.values()))

    async def plain(self, key: bytes) -> bytes | None:
        """Return the first plain value found under `key`."""
        name = dht_id(key)
        found = [held for held in [self._shelf.plain(name, self._clock())] if held is not None]

        def take(_key: int, answer: Answer) -> None:
            found.extend(held for held in [answer.plain] if held is not None)

        if not found:
            ask = partial(self._walks.find, take=take)
            await self._walks.walk([int.from_bytes(name)], ask, enough=lambda: bool(found))
        return found[0].value if found else None

    async def hold(self, placements: Sequence[Placement]) -> Holding:
        """Store values here, on the nodes nearest to their keys, and on contacts."""
        return await self._storing.hold([Thing(each, held=self._keep(each)) for each in placements])

    async def look_around(self) -> None:
        """Walk towards this peer's own DHT id, to fill the routing table."""
        await self._walks.walk([self._node_id], self._walks.find, sparing=True)

    def forgive(self) -> None:
        """Follow all names again, including those of peers that did not answer recently: a peer that was away
        is back.
        """
        self._walks.forgive()

    def _keep(self, placement: Placement) -> bool:
        name, now = dht_id(placement.key), self._clock()
        if placement.subkey is None:
            return self._shelf.put_plain(name, placement.value, placement.expires, now)
        return self._shelf.put_entry(name, placement.subkey, placement.value, placement.expires, now)
