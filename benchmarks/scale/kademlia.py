"""The lookups of p2pd's own DHT, simulated: go-libp2p-kad-dht v0.25.1 with the defaults that hivemind
leaves.

p2pd looks up a peer whose addresses it does not know. Every ten minutes it also looks up its own id, and
every second time a random id in each part of the key space for which it has a peer. (A part is refreshed once
more than ten minutes have passed since the last time, and the next tick comes a moment too early for that.)
This module counts whom a lookup asks, who is dialled for it, and how many peers the answers name. Messages
are not sent; `lookups.py` compares the counts with real p2pd.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BUCKET_SIZE = 20
"""Peers of one bucket, and peers that an answer names."""

ALPHA = 10
"""Peers asked at once."""

BETA = 3
"""A lookup ends when so many of the nearest have answered; the rest of the nearest twenty are asked then."""

PARTS_MAX = 16
"""Parts of the key space that are refreshed; `maxCplForRefresh`, and one."""

REFRESH_MINUTES = 10.0

HEARD_MINUTES, CONNECTED_MINUTES = 2.0, 15.0
"""How long the addresses of a peer that was named, or connected, are known (go-libp2p's peerstore)."""

DIAL_TRIPS = 3
"""Round trips before a peer that is not connected can be asked."""

ROUNDS, SAME = 40, 0.01
"""Rounds in which the part of known addresses settles, to within so much."""

BITS = 64

Ids = NDArray[np.uint64]


class Cost(NamedTuple):
    """Of one or more lookups."""

    asked: float = 0.0
    dialled: float = 0.0
    """Peers to which a connection was opened for it."""
    named: float = 0.0
    """Peers named in answers, counting repeats."""
    heard: float = 0.0
    """Different peers among these."""

    def __mul__(self, factor: float) -> Cost:  # type: ignore[override]
        return Cost(*(value * factor for value in self))

    def plus(self, other: Cost) -> Cost:
        return Cost(*(one + two for one, two in zip(self, other, strict=True)))


class Nodes:
    """The p2pd of a settled swarm, and their routing tables."""

    def __init__(self, size: int, seed: int) -> None:
        self.size, self._seed = size, seed
        rng = np.random.default_rng((seed, size))
        self.ids: Ids = np.sort(rng.integers(2**BITS - 1, size=size, dtype=np.uint64))
        self.table = lru_cache(None)(self._table)

    def _table(self, number: int) -> NDArray[np.int64]:
        """Return whom a node knows: 20 in each bucket. Only the last bucket, of the nearest, is split when it
        is full.
        """
        rng = np.random.default_rng((self._seed, self.size, number))
        prefixes = self.prefix_lengths(int(self.ids[number]))
        known, prefix = [], 0
        rest = np.flatnonzero(np.arange(self.size) != number)
        while len(rest) > BUCKET_SIZE:
            bucket = rest[prefixes[rest] == prefix]
            few = len(bucket) <= BUCKET_SIZE
            known.append(bucket if few else rng.choice(bucket, BUCKET_SIZE, replace=False))
            rest, prefix = rest[prefixes[rest] > prefix], prefix + 1
        return np.concatenate([*known, rest])

    def prefix_lengths(self, key: int) -> NDArray[np.int64]:
        """Return how many leading bits the id of each node has in common with `key`."""
        distances = self.ids ^ np.uint64(key)
        return BITS - np.ceil(np.log2(distances.astype(np.float64) + 1.0)).astype(np.int64)

    def nearest(self, number: int, key: int) -> list[int]:
        """Return the 20 nodes nearest to `key` that a node knows."""
        table = self.table(number)
        order = np.argsort(self.ids[table] ^ np.uint64(key))[:BUCKET_SIZE]
        return [int(each) for each in table[order]]


class Lookup:
    """One lookup by one node. Answers arrive at random times, later from peers that are dialled first."""

    def __init__(
        self,
        nodes: Nodes,
        asker: int,
        key: int,
        rng: random.Random,
        connected: AbstractSet[int],
        *,
        target: int | None = None,
        known: float = 0.0,
    ) -> None:
        """`target`: ends once it is connected to this node. `known`: the part of all nodes whose addresses a
        node knows, and names if it is asked for exactly these.
        """
        self._nodes, self._asker, self._key, self._rng = nodes, asker, key, rng
        self._connected, self._target, self._known = connected, target, known
        self._distance: dict[int, int] = {}
        self._answered: set[int] = set()
        self.asked: set[int] = set()
        """Whom it asked so far, and is thus connected to."""
        self._waiting: list[tuple[float, int]] = []
        self._reached_at = math.inf
        self._now = 0.0
        self._asks = self._dials = self._names = 0

    def run(self) -> Cost:
        self._hear(self._nodes.nearest(self._asker, self._key))
        seeds = len(self._distance)
        self._ask_more()
        while self._waiting and not self._is_done:
            self._now, node = heapq.heappop(self._waiting)
            self._answered.add(node)
            self._hear(self._answer(node))
            if not self._is_done:
                self._ask_more()
        if self._now < self._reached_at:
            self._follow_up()
        return Cost(self._asks, self._dials, self._names, len(self._distance) - seeds)

    @property
    def _is_done(self) -> bool:
        nearest = heapq.nsmallest(BETA, self._distance, key=self._distance.__getitem__)
        return self._now >= self._reached_at or self._answered.issuperset(nearest)

    def _hear(self, named: list[int]) -> None:
        ids = self._nodes.ids
        self._distance |= {node: int(ids[node]) ^ self._key for node in named if node != self._asker}

    def _ask_more(self) -> None:
        heard = [node for node in self._distance if node not in self.asked]
        for node in heapq.nsmallest(ALPHA - len(self._waiting), heard, key=self._distance.__getitem__):
            self._ask(node)

    def _ask(self, node: int) -> None:
        self._asks += 1
        trip = self._rng.uniform(0.5, 1.5)
        dial = 0.0
        if node not in self._connected and node not in self.asked:
            self._dials += 1
            dial = DIAL_TRIPS * trip
        self.asked.add(node)
        if node == self._target:
            self._reached_at = self._now + dial
        heapq.heappush(self._waiting, (self._now + dial + trip, node))

    def _answer(self, node: int) -> list[int]:
        if int(self._nodes.ids[node]) == self._key:
            self._names += 1
            return []
        named = self._nodes.nearest(node, self._key)
        if self._target is not None and self._target not in named and self._rng.random() < self._known:
            named.append(self._target)
        self._names += len(named)
        return named

    def _follow_up(self) -> None:
        """Ask those of the nearest twenty that have not answered. What they name is not followed."""
        for node in heapq.nsmallest(BUCKET_SIZE, self._distance, key=self._distance.__getitem__):
            if node not in self._answered:
                self._ask(node)
                self._answer(node)


def refresh(nodes: Nodes, asker: int, rng: random.Random, connected: AbstractSet[int]) -> tuple[Cost, int]:
    """Return what the lookups of twenty minutes cost, and how many there are: the own id twice, and one id in
    each part up to the first that is empty, and up to twice as far beyond.
    """
    own = int(nodes.ids[asker])
    prefixes = set(nodes.prefix_lengths(own)[nodes.table(asker)].tolist())
    parts = min(PARTS_MAX, max(prefixes) + 1)
    empty = next((part for part in range(parts) if part not in prefixes), parts)
    keys = [own, own, *(_in_part(own, part, rng) for part in range(min(parts, 2 * (empty + 1) + 1)))]
    cost, linked = Cost(), set(connected)
    for key in keys:
        lookup = Lookup(nodes, asker, key, rng, linked)
        cost = cost.plus(lookup.run())
        linked |= lookup.asked
    return cost, len(keys)


def _in_part(own: int, part: int, rng: random.Random) -> int:
    """Return an id that has exactly `part` leading bits in common with `own`."""
    rest = BITS - part - 1
    return ((own >> rest) ^ 1) << rest | rng.getrandbits(rest)


@dataclass(frozen=True)
class Steady:
    """What one p2pd of a swarm does in a minute, once all remember as many addresses as they forget."""

    known: float
    """The part of all peers whose addresses it knows."""
    lookups: float
    search: Cost
    """Of its lookups of peers."""
    refresh: Cost


def steady(
    size: int, dials: float, connections: int, seed: int, *, unaided: float | None = None, draws: int = 100
) -> Steady:
    """Return the steady state of a swarm in which each peer has so many connections, and dials so many peers
    a minute that it is not connected to, any with equal probability.

    `unaided`: the part of these dials for which p2pd is given no address; None if it is never given any.
    These peers were never connected, because our address book remembers those longer than p2pd does. So p2pd
    knows such a peer only if an answer named it.

    Addresses are remembered from connections, which either end may have opened, and from answers. What is
    remembered makes lookups shorter and rarer, and so fewer addresses are learned.
    """
    nodes, rng = Nodes(size, seed), random.Random(seed)
    if size <= connections + 1:
        linked = set(range(size))
        some = [refresh(nodes, rng.randrange(size), rng, linked)[0] for _ in range(draws)]
        return Steady(1.0, 0.0, Cost(), mean(some) * (1 / (2 * REFRESH_MINUTES)))
    askers = [(rng.randrange(size), set(rng.sample(range(size), connections))) for _ in range(draws)]
    some = [refresh(nodes, asker, rng, linked)[0] for asker, linked in askers]
    regular = mean(some) * (1 / (2 * REFRESH_MINUTES))
    known, named = 0.5, 0.0
    for _ in range(ROUNDS):
        found = [_search(nodes, asker, linked, known, rng) for asker, linked in askers]
        unknown = [each for each in found if each is not None]
        wanted = dials * (1 - known if unaided is None else unaided * (1 - named))
        lookups = wanted * len(unknown) / draws
        search = mean(unknown) * lookups
        met = 2 * (dials + search.dialled + regular.dialled)
        heard = search.heard + regular.heard
        remembered = 1 - math.exp(-(CONNECTED_MINUTES * met + HEARD_MINUTES * heard) / size)
        named = 1 - math.exp(-HEARD_MINUTES * heard / size)
        if abs(remembered - known) < SAME:
            break
        known += (remembered - known) / 2
    return Steady(known, lookups, search, regular)


def _search(
    nodes: Nodes, asker: int, linked: AbstractSet[int], known: float, rng: random.Random
) -> Cost | None:
    """Return what it costs to look up a random peer that is not connected; None if it is in the routing
    table, whose addresses are known.
    """
    target = asker
    while target == asker or target in linked:
        target = rng.randrange(nodes.size)
    if target in nodes.table(asker):
        return None
    return Lookup(nodes, asker, int(nodes.ids[target]), rng, linked, target=target, known=known).run()


def mean(costs: Sequence[Cost]) -> Cost:
    return Cost(*(sum(values) / len(values) for values in zip(*costs, strict=True))) if costs else Cost()
