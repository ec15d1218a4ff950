"""Finds and stores values in the DHT even if hostile nodes sit next to every key.

The nodes nearest to a key may belong to an attacker: they claim to hold what they drop, return no neighbours,
refuse, or delay. Nothing therefore depends on those nodes alone:

- what this peer publishes also stays on its own shelf and goes to contacts in addition to the nearest nodes;
  nodes that lost what they agreed to hold (`promises.py`) are asked last, and if the nearest nodes do not all
  take it, others near the key are looked for;
- a read asks contacts in addition to the nearest nodes, and merges all answers;
- no answer is awaited for longer than other nodes need (`awaiting.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from hivemind.p2p import PeerID

from protocol import Placement, dht_id
from swarmd.network.awaiting import Calls, Lateness
from swarmd.network.dht import Answer, SwarmDHT
from swarmd.network.dht_ids import node_id_of
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.handing_over import REPLICAS, Packed, packed_subkey
from swarmd.network.messages import FIND_KEYS_MAX, NEIGHBOURS_MAX
from swarmd.network.newest import put_newest
from swarmd.network.packing import write_bin
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.promises import Promises
from swarmd.network.shelf import Shelf
from swarmd.network.vouching import Vouching
from swarmd.network.walk import BEAM, Names, Question, Walk

CONTACTS_ASKED = 4
"""Contacts asked about a key, regardless of who is near it."""

CONTACTS_HOLDING = 2
"""Contacts asked to hold a value, in addition to the REPLICAS nearest nodes."""

SEARCH_S = 4.0
"""Seconds for one walk, after which the answers so far are used: four steps in which no node answers in time.
"""

STORE_S = 4.0
"""Seconds to wait for the nodes that are asked to store."""

SILENT_S = 5.0
"""Seconds for which a node that did not answer is not followed again, whoever names it."""

SILENT_MAX = 1_024
"""Such nodes remembered, newest first."""

NEAR_S = 300.0
"""Seconds for which the nodes near a key are known: as long as they are trusted to keep what they took
(`promises.py`).
"""

NEAR_MAX = 64
"""Keys whose nodes are known, newest first. A status is stored under one key again and again, announcements
under a few for a round.
"""

KEY_BYTES = 20


class Holding(NamedTuple):
    """The outcome of storing several values."""

    held: int
    """How many are held, even if only on this node: contacts read from it too."""
    crowded: int
    """How many were refused by at least REPLICAS nodes and by more than kept them, not counting contacts: the
    DHT has no room for them.
    """


@dataclass
class _Thing:
    """A value to store, and the nodes that can still be asked to hold it."""

    placement: Placement
    key: int
    held: bool
    untried: list[int] = field(default_factory=list)
    wanted: int = 0
    """The number of nodes that should hold it."""
    tried: set[int] = field(default_factory=set)
    """Nodes that were asked."""
    asked: int = 0
    """How many of them hold it or have yet to answer."""
    kept: int = 0
    refused: int = 0
    """How many nodes agreed to hold it, and how many refused, not counting contacts."""

    @property
    def is_crowded(self) -> bool:
        return self.refused >= REPLICAS and self.refused > self.kept

    @property
    def packed(self) -> Packed:
        name, what = self.key.to_bytes(KEY_BYTES), self.placement
        return name, packed_subkey(what.subkey), write_bin(what.value), what.expires


@dataclass(frozen=True)
class _Near:
    """The nodes that answered a walk towards a key, nearest first."""

    nodes: tuple[int, ...]
    contacts: frozenset[int]
    """Contacts among them."""
    peers: Mapping[int, PeerID]
    at: float
    """When the walk began, by the monotonic clock."""


@dataclass
class _Known:
    """The peers behind the nodes of one walk."""

    peers: dict[int, PeerID] = field(default_factory=dict)

    def add(self, peers: Iterable[PeerID]) -> list[int]:
        found: dict[int, PeerID] = {node_id_of(peer): peer for peer in peers}
        self.peers |= found
        return list(found)


class Searcher:
    """The walks of one DHT node. Its calls can outlive a walk; `SwarmDHT` ends them."""

    def __init__(
        self,
        dht: SwarmDHT,
        guard: Guard,
        shelf: Shelf,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dht = dht
        self._guard = guard
        self._shelf = shelf
        self._clock = clock
        self._now = monotonic
        self._lateness = Lateness()
        self._vouching = Vouching(monotonic)
        self._promises = Promises()
        self._near: OrderedDict[int, _Near] = OrderedDict()
        self._silent: OrderedDict[PeerID, float] = OrderedDict()

    async def entries(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return the live entries under `keys` from all nodes that answer in time."""
        found = {
            int.from_bytes(name): dict(self._shelf.entries(name, self._clock())) for name in map(dht_id, keys)
        }

        def take(key: int, answer: Answer) -> None:
            for subkey, held in answer.entries.items():
                if subkey not in found[key] or found[key][subkey].expires < held.expires:
                    found[key][subkey] = held

        await self._walk(list(found), _Known(), take)
        return list(dict.fromkeys(held.value for entries in found.values() for held in entries.values()))

    async def plain(self, key: bytes) -> bytes | None:
        """Return the first plain value found under `key`."""
        name = dht_id(key)
        found = [held for held in [self._shelf.plain(name, self._clock())] if held is not None]

        def take(_key: int, answer: Answer) -> None:
            found.extend(held for held in [answer.plain] if held is not None)

        if not found:
            await self._walk([int.from_bytes(name)], _Known(), take, enough=lambda: bool(found))
        return found[0].value if found else None

    async def hold(self, placements: Sequence[Placement]) -> Holding:
        """Store values here, on the nodes nearest to their keys, and on contacts."""
        things = [
            _Thing(placement, int.from_bytes(dht_id(placement.key)), held=self._keep(placement))
            for placement in placements
        ]
        near = await self._find_near({thing.key: None for thing in things})
        for thing in things:
            self._choose(thing, near[thing.key])
        await self._spread(things, near)
        lacking = [
            thing for thing in things if thing.asked < thing.wanted and len(near[thing.key].nodes) >= REPLICAS
        ]
        if lacking:
            near |= await self._walk_near({thing.key: thing.key ^ 1 for thing in lacking}, BEAM)
            for thing in lacking:
                self._choose_further(thing, near[thing.key])
            await self._spread(lacking, near)
        for thing in things:
            if thing.asked >= REPLICAS:
                put_newest(self._near, thing.key, near[thing.key], NEAR_MAX)
            else:
                self._near.pop(thing.key, None)
        return Holding(sum(thing.held for thing in things), sum(thing.is_crowded for thing in things))

    async def look_around(self) -> None:
        """Walk towards this peer's own DHT id, to fill the routing table."""
        await self._walk([self._dht.node_id], _Known(), sparing=True)

    def forgive(self) -> None:
        """Follow all names again, including those of peers that did not answer recently: a peer that was away
        is back.
        """
        self._silent.clear()

    def _keep(self, placement: Placement) -> bool:
        name, now = dht_id(placement.key), self._clock()
        if placement.subkey is None:
            return self._shelf.put_plain(name, placement.value, placement.expires, now)
        return self._shelf.put_entry(name, placement.subkey, placement.value, placement.expires, now)

    # Walking -----------------------------------------------------------------------------------------

    async def _walk(
        self,
        keys: Sequence[int],
        known: _Known,
        take: Callable[[int, Answer], None] = lambda _key, _answer: None,
        enough: Callable[[], bool] = lambda: False,
        *,
        sparing: bool = False,
        beam: int = BEAM,
    ) -> Walk:
        """Walk towards `keys` until the `beam` nearest nodes have answered, time is up, or `enough` returns
        True.

        `sparing`: open few connections. Hostile nodes can then delay the walk longer.
        """
        start = {key: known.add(self._dht.nearest(key, NEIGHBOURS_MAX)) for key in keys}
        contacts = self._contacts(keys, known)
        walk = Walk(
            keys,
            start,
            contacts,
            self._vouching.follow,
            keys_at_once=FIND_KEYS_MAX,
            is_connected=lambda node: not sparing or self._dht.is_connected(known.peers[node]),
            beam=beam,
        )
        calls: Calls[Question, Names] = Calls(self._spawn, self._lateness, SEARCH_S)

        def next_question() -> Question | None:
            for late in calls.late():
                walk.late(late)
            return walk.next()

        while not enough():
            while calls.waited_for < BEAM and (question := next_question()) is not None:
                if not question.contact and self._lateness.keeps_waiting(question.node):
                    walk.silent(question)
                    continue
                work = partial(self._ask, question, known, take)
                calls.start(question.node, question, work, contact=question.contact)
            if not calls.waited_for:
                break
            for asked, names in await calls.some():
                if names is None:
                    walk.silent(asked)
                else:
                    walk.answered(asked, names)
        return walk

    async def _ask(
        self, question: Question, known: _Known, take: Callable[[int, Answer], None]
    ) -> Names | None:
        peer, asked_at = known.peers[question.node], self._clock()
        answers = await self._dht.find(peer, [key.to_bytes(KEY_BYTES) for key in question.keys])
        if answers is None:
            self._was_silent(peer)
            return None
        if question.namer is not None:
            self._vouching.answered(question.namer)
        for key, answer in zip(question.keys, answers, strict=True):
            take(key, answer)
            self._promises.checked(question.node, key, answer.entries, asked_at, self._clock())
        return {
            key: known.add(peer for peer in answer.neighbours if not self._is_silent(peer))
            for key, answer in zip(question.keys, answers, strict=True)
        }

    def _contacts(self, keys: Sequence[int], known: _Known) -> Mapping[int, list[int]]:
        """Return for each key the contacts nearest to it, taking one from each address group before a second
        from any.

        If no peer can be relied on yet, use the peers that gossip has met.
        """
        guard, peers = self._guard, {read_peer_id(peer.to_bytes()): peer for peer in self._dht.peers}
        chosen = list(filter(guard.relies_on, peers)) or list(filter(guard.has_met, peers))
        nodes = known.add(peers[name] for name in chosen)
        groups = dict(zip(nodes, map(guard.group, chosen), strict=True))
        return {key: _by_group(key, groups)[:CONTACTS_ASKED] for key in keys}

    def _was_silent(self, peer: PeerID) -> None:
        put_newest(self._silent, peer, self._now(), SILENT_MAX)

    def _is_silent(self, peer: PeerID) -> bool:
        return self._now() - self._silent.get(peer, float("-inf")) < SILENT_S

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._dht.start(work, "asking in the DHT")

    # Storing -----------------------------------------------------------------------------------------

    async def _find_near(self, keys: Iterable[int]) -> dict[int, _Near]:
        """Return the nodes near each key: those of the last time, or of a walk to the REPLICAS nearest ones.

        A walk takes most of the calls of storing a status again. It is left out while enough nodes kept what
        they were asked to, until it is time to check whether they still do.

        A walk normally leads to the adjacent key: it has the same nearest nodes but no values, so the answers
        are short. To check which nodes keep their promises, it leads to the key itself.
        """
        now = self._now()
        found: dict[int, _Near] = {}
        asked: dict[int, int] = {}
        for key in keys:
            check, near = self._promises.to_check(key, self._clock()), self._near.get(key)
            if near is not None and now - near.at < NEAR_S and not check:
                found[key] = near
            else:
                asked[key] = key if check else key ^ 1
        return found | await self._walk_near(asked, REPLICAS)

    async def _walk_near(self, asked: Mapping[int, int], beam: int) -> dict[int, _Near]:
        """Walk towards the key that is asked about in place of each key, until the `beam` nearest nodes have
        answered.
        """
        if not asked:
            return {}
        now, known = self._now(), _Known()
        walk = await self._walk(list(asked.values()), known, sparing=True, beam=beam)

        def near(beside: int) -> _Near:
            nodes, contacts = walk.nearest(beside), frozenset(walk.contacts(beside))
            return _Near(tuple(nodes), contacts, {node: known.peers[node] for node in nodes}, now)

        return {key: near(beside) for key, beside in asked.items()}

    async def _spread(self, things: Sequence[_Thing], near: Mapping[int, _Near]) -> None:
        """Ask nodes to hold `things`. If a node does not, the next nearest one is asked."""
        calls: Calls[tuple[int, list[_Thing]], Sequence[bool]] = Calls(self._spawn, self._lateness, STORE_S)
        peers = {node: peer for each in near.values() for node, peer in each.peers.items()}
        contacts = {node for each in near.values() for node in each.contacts}
        while True:
            for node, theirs in _next_nodes(things).items():
                work = partial(self._dht.store, peers[node], [thing.packed for thing in theirs])
                calls.start(node, (node, theirs), work, contact=node in contacts)
            if not calls.waited_for:
                return
            for (node, theirs), answer in await calls.some():
                for thing, held in zip(theirs, answer or [False] * len(theirs), strict=True):
                    thing.held |= held
                    thing.asked -= not held
                    if answer is not None and node not in contacts:
                        thing.kept += held
                        thing.refused += not held
                    self._promised(node, thing, held)

    def _choose(self, thing: _Thing, near: _Near) -> None:
        """Choose the contacts and the nearest nodes to hold a value, without those that break promises."""
        now = self._clock()
        wanted = dict.fromkeys((*_holding(near), *near.nodes[:REPLICAS]))
        thing.wanted = len(wanted)
        thing.untried = [node for node in wanted if not self._promises.breaks(node, now)]

    def _choose_further(self, thing: _Thing, near: _Near) -> None:
        """Some of those did not take it: choose from all nodes that answered, with those that break promises
        last.
        """
        now = self._clock()
        nearest = sorted(near.nodes, key=lambda node: self._promises.breaks(node, now))
        wanted = dict.fromkeys((*_holding(near), *nearest[:REPLICAS]))
        thing.wanted = len(wanted)
        thing.untried = [node for node in dict.fromkeys((*wanted, *nearest)) if node not in thing.tried]

    def _promised(self, node: int, thing: _Thing, held: bool) -> None:
        what = thing.placement
        if held and what.subkey is not None:
            self._promises.made(node, thing.key, what.subkey, what.expires, self._clock())


def _holding(near: _Near) -> list[int]:
    """Return the contacts that should hold a value that belongs there."""
    return [node for node in near.nodes if node in near.contacts][:CONTACTS_HOLDING]


def _next_nodes(things: Iterable[_Thing]) -> Mapping[int, list[_Thing]]:
    """Choose the nodes to ask now, and what to ask each of them to hold."""
    chosen: defaultdict[int, list[_Thing]] = defaultdict(list)
    for thing in things:
        while thing.untried and thing.asked < thing.wanted:
            node = thing.untried.pop(0)
            chosen[node].append(thing)
            thing.tried.add(node)
            thing.asked += 1
    return chosen


def _by_group(key: int, groups: Mapping[int, str]) -> list[int]:
    """Order the nodes by distance, taking the first of each group before the second of any."""
    turns: defaultdict[str, int] = defaultdict(int)
    ranked = []
    for node in sorted(groups, key=lambda node: node ^ key):
        group = groups[node]
        ranked.append((turns[group], node ^ key, node))
        turns[group] += 1
    return [node for _, _, node in sorted(ranked)]
