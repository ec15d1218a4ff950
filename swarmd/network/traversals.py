"""Stores values in the DHT and reads them: a few walks at a time, over whichever session is current."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from protocol import Place, Placement, body_key
from swarmd.network.dht_storage import Clock
from swarmd.network.messages import FIND_KEYS_MAX, STORE_ITEMS_MAX
from swarmd.network.rules import KnownManifest, place_all
from swarmd.network.searching import Searcher
from swarmd.network.session import TRAVERSE_SECONDS
from swarmd.network.storing import Holding
from swarmd.network.supervisor import Supervisor

CALLS_AT_ONCE = 4
"""Concurrent DHT walks. More would only queue up in p2pd."""

READ_KEYS = 4 * FIND_KEYS_MAX
"""Keys read in one walk."""


class Traversals:
    """All walks of one peer for values. Every method raises NetworkError."""

    def __init__(self, supervisor: Supervisor, swarm: KnownManifest, clock: Clock) -> None:
        self._supervisor = supervisor
        self._swarm = swarm
        self._clock = clock
        self._calls = asyncio.Semaphore(CALLS_AT_ONCE)

    def place(self, place: Place, envelopes: Sequence[bytes]) -> list[Placement]:
        """Return where own envelopes belong."""
        return place_all(place, envelopes, manifest=self._swarm(), now=self._clock())

    async def store(self, placements: Sequence[Placement]) -> Holding:
        held = crowded = 0
        for start in range(0, len(placements), STORE_ITEMS_MAX):
            batch = placements[start : start + STORE_ITEMS_MAX]
            async with self._walk("storing in the DHT") as searcher:
                some = await searcher.hold(batch)
            held, crowded = held + some.held, crowded + some.crowded
        return Holding(held, crowded)

    async def read(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the entries under several keys."""
        values: dict[bytes, None] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), READ_KEYS):
            async with self._walk("reading from the DHT") as searcher:
                some = await searcher.entries(wanted[start : start + READ_KEYS])
            values.update(dict.fromkeys(some))
        return list(values)

    async def body(self, digest: bytes) -> bytes | None:
        """Return the body that the DHT holds for a publisher that cannot be dialled, if there is one."""
        manifest = self._swarm()
        if manifest is None:
            return None
        async with self._walk("reading from the DHT") as searcher:
            return await searcher.plain(body_key(manifest.swarm_id, digest))

    @asynccontextmanager
    async def _walk(self, what: str) -> AsyncIterator[Searcher]:
        """Wait for a turn, then for the session: the one of before the wait may have ended."""
        async with self._calls:
            session = await self._supervisor.session()
            async with session.call(what, TRAVERSE_SECONDS):
                yield session.searcher
