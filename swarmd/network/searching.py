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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest

from protocol import SHARD_ENTRIES_MAX, Placement, dht_id
from swarmd.network.answers import Answer
from swarmd.network.dht import SwarmDHT
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.shelf import Held, Shelf
from swarmd.network.storing import Holding, Storing, Thing
from swarmd.network.walk import Question
from swarmd.network.walking import Walks

ENTRIES_OF_OTHERS_MAX = 2 * SHARD_ENTRIES_MAX
"""Entries that one read takes under one key from nodes other than contacts: those of two full nodes.
Verifying one takes a quarter of a millisecond, and any number of hostile nodes can each return 64.
"""


@dataclass
class Found:
    """Answers about one key: those of this peer and its contacts, and those of other nodes."""

    of_contacts: list[Mapping[bytes, Held]] = field(default_factory=list)
    of_others: list[Mapping[bytes, Held]] = field(default_factory=list)

    def merged(self) -> dict[bytes, Held]:
        """Return for each subkey the entry that lives longest. Others add ENTRIES_OF_OTHERS_MAX at most, by
        turns, so that no crowd of answers displaces those of contacts.
        """
        merged: dict[bytes, Held] = {}
        for entries in self.of_contacts:
            for subkey, held in entries.items():
                put_longest(merged, subkey, held)
        most = len(merged) + ENTRIES_OF_OTHERS_MAX
        for turn in zip_longest(*(entries.items() for entries in self.of_others)):
            for subkey, held in filter(None, turn):
                if subkey in merged or len(merged) < most:
                    put_longest(merged, subkey, held)
        return merged


def put_longest(merged: dict[bytes, Held], subkey: bytes, held: Held) -> None:
    if subkey not in merged or merged[subkey].expires < held.expires:
        merged[subkey] = held


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
        """Return the live entries under `keys` from all nodes that answer in time, up to a bound."""
        found = {
            int.from_bytes(name): Found([self._shelf.entries(name, self._clock())])
            for name in map(dht_id, keys)
        }

        def take(question: Question, key: int, answer: Answer) -> None:
            into = found[key].of_contacts if question.contact else found[key].of_others
            into.append(answer.entries)

        await self._walks.walk(list(found), partial(self._walks.find, take=take))
        return list(dict.fromkeys(held.value for each in found.values() for held in each.merged().values()))

    async def plain(self, key: bytes) -> bytes | None:
        """Return the first plain value found under `key`."""
        name = dht_id(key)
        found = [held for held in [self._shelf.plain(name, self._clock())] if held is not None]

        def take(_question: Question, _key: int, answer: Answer) -> None:
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
