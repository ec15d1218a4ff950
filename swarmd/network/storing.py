"""Stores values in the DHT even if hostile nodes sit next to every key.

- A walk leads to the nodes nearest to the key. Those that other nodes named are asked to hold the value at
  once, and name their neighbours in their answers. So each of the nearest nodes is asked once: all that is
  announced in a round goes to a few keys, and the nodes next to these are the busiest of the swarm.
- Contacts are asked, too. Nodes that lost what they agreed to hold (`promises.py`) are asked last.
- If the nearest nodes do not all take the value, a longer walk leads to others near the key.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from hivemind.p2p import PeerID

from protocol import Placement, dht_id
from swarmd.network.answers import Stored
from swarmd.network.awaiting import Calls
from swarmd.network.dht_storage import Clock
from swarmd.network.handing_over import REPLICAS, Packed, packed_subkey
from swarmd.network.newest import put_newest
from swarmd.network.packing import write_bin
from swarmd.network.walk import BEAM, Names, Question
from swarmd.network.walking import CONTACTS_ASKED, Known, Walks

CONTACTS_HOLDING = 2
"""Contacts asked to hold a value, in addition to the REPLICAS nearest nodes."""

STORE_S = 4.0
"""Seconds to wait for the nodes that are asked to store."""

NEAR_S = 300.0
"""Seconds for which the nodes near a key are known: as long as they are trusted to keep what they took
(`promises.py`).
"""

NEAR_MAX = 64
"""Keys whose nodes are known, newest first. A status is stored under one key again and again, announcements
under a few for a round.
"""


class Holding(NamedTuple):
    """The outcome of storing several values."""

    held: int
    """How many are held, even if only on this node: contacts read from it too."""
    crowded: int
    """How many were refused by at least REPLICAS nodes and by more than kept them, not counting contacts: the
    DHT has no room for them.
    """


@dataclass
class Thing:
    """A value to store, and the nodes that can still be asked to hold it."""

    placement: Placement
    held: bool
    """Whether any node holds it, this one included."""
    untried: list[int] = field(default_factory=list)
    wanted: int = 0
    """The number of nodes that should hold it."""
    tried: set[int] = field(default_factory=set)
    """Nodes that were asked."""
    holders: set[int] = field(default_factory=set)
    """Nodes that agreed to hold it, some perhaps not near enough."""
    asked: int = 0
    """How many of the nodes that should hold it, or others in their place, do or have yet to answer."""
    kept: int = 0
    refused: int = 0
    """How many nodes agreed to hold it, and how many refused, not counting contacts."""

    def __post_init__(self) -> None:
        self.name = dht_id(self.placement.key)
        self.key = int.from_bytes(self.name)
        self.packed: Packed = (
            self.name,
            packed_subkey(self.placement.subkey),
            write_bin(self.placement.value),
            self.placement.expires,
        )

    def want(self, wanted: Collection[int], candidates: Iterable[int]) -> None:
        """From now on, `wanted` should hold it, and `candidates` can be asked that were not yet, in order."""
        self.wanted = len(wanted)
        self.asked = len(self.holders.intersection(wanted))
        self.untried = [node for node in candidates if node not in self.tried]

    @property
    def is_crowded(self) -> bool:
        return self.refused >= REPLICAS and self.refused > self.kept


@dataclass(frozen=True)
class _Near:
    """The nodes that answered a walk towards a key, nearest first."""

    nodes: tuple[int, ...]
    contacts: frozenset[int]
    """Contacts among them."""
    peers: Mapping[int, PeerID]
    at: float
    """When the walk began, by the monotonic clock."""


class Storing:
    """Finds nodes for values, and asks them."""

    def __init__(self, walks: Walks, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._walks = walks
        self._promises = walks.promises
        self._clock = clock
        self._now = monotonic
        self._near: OrderedDict[int, _Near] = OrderedDict()

    async def hold(self, things: Sequence[Thing]) -> Holding:
        """Store values on the nodes nearest to their keys, and on contacts."""
        near = await self._find_near(things)
        for thing in things:
            self._choose(thing, near[thing.key])
        await self._spread(things, near)
        lacking = [thing for thing in things if thing.asked < thing.wanted]
        # a walk that fewer nodes answered has found all there are
        further = {thing.key for thing in lacking if len(near[thing.key].nodes) >= REPLICAS}
        near |= await self._look_further(further)
        for thing in lacking:
            self._choose_further(thing, near[thing.key])
        await self._spread(lacking, near)
        for thing in things:
            if thing.asked >= REPLICAS:
                put_newest(self._near, thing.key, near[thing.key], NEAR_MAX)
            else:
                self._near.pop(thing.key, None)
        return Holding(sum(thing.held for thing in things), sum(thing.is_crowded for thing in things))

    # Looking for nodes -------------------------------------------------------------------------------

    async def _find_near(self, things: Iterable[Thing]) -> dict[int, _Near]:
        """Return the nodes near each key: those of the last time, or of a walk to the REPLICAS nearest ones,
        of which some are asked to hold the things on the way.

        A walk takes most of the calls of storing a status again. It is left out while enough nodes kept what
        they were asked to, until it is time to check whether they still do.

        A walk normally leads to the adjacent key: it has the same nearest nodes but no values, so the answers
        are short. To check which nodes keep their promises, it leads to the key itself, and asks for nothing.
        """
        now = self._now()
        found: dict[int, _Near] = {}
        to_place: defaultdict[int, list[Thing]] = defaultdict(list)
        to_check: list[int] = []
        for key, theirs in _by_key(things).items():
            check, near = self._promises.to_check(key, self._clock()), self._near.get(key)
            if check:
                to_check.append(key)
            elif near is not None and now - near.at < NEAR_S:
                found[key] = near
            else:
                to_place[key ^ 1] = theirs
        ask = partial(self._find_or_place, to_place)
        walked = {key ^ 1: key for key in to_place} | dict(zip(to_check, to_check, strict=True))
        return found | await self._walk(walked, ask, REPLICAS, CONTACTS_HOLDING)

    async def _look_further(self, keys: Iterable[int]) -> dict[int, _Near]:
        return await self._walk({key: key ^ 1 for key in keys}, self._walks.find, BEAM, CONTACTS_ASKED)

    async def _walk(
        self,
        walked: Mapping[int, int],
        ask: Callable[[Question, Known], Awaitable[Names | None]],
        beam: int,
        contacts_asked: int,
    ) -> dict[int, _Near]:
        """`walked`: for each key, the one towards which the walk leads."""
        if not walked:
            return {}
        now, known = self._now(), Known()
        walk = await self._walks.walk(
            list(walked.values()),
            ask,
            known=known,
            sparing=True,
            beam=beam,
            contacts_asked=contacts_asked,
        )

        def near(beside: int) -> _Near:
            nodes, contacts = walk.nearest(beside), frozenset(walk.contacts(beside))
            return _Near(tuple(nodes), contacts, {node: known.peers[node] for node in nodes}, now)

        return {key: near(beside) for key, beside in walked.items()}

    async def _find_or_place(
        self, things: Mapping[int, list[Thing]], question: Question, known: Known
    ) -> Names | None:
        """Ask a node that others named to hold the things, and any other only what it knows.

        `things`: by the key towards which the walk leads. Under other keys there is something to check.
        """
        node, by_key = question.node, [things.get(key, []) for key in question.keys]
        if question.namer is None or not all(by_key) or self._promises.breaks(node, self._clock()):
            return await self._walks.find(question, known)
        theirs = [thing for several in by_key for thing in several]
        for thing in theirs:
            thing.tried.add(node)
        packed = [thing.packed for thing in theirs]
        stored = await self._walks.dht.store(known.peers[node], packed, names=True)
        if stored is None:
            self._walks.was_silent(question, known)
            return None
        self._taken(node, theirs, stored, is_contact=question.contact)
        if not stored.neighbours:  # an older node does not know that it may be asked for names
            return await self._walks.find(question, known)
        named = {
            key: stored.neighbours.get(several[0].name, ())
            for key, several in zip(question.keys, by_key, strict=True)
        }
        return self._walks.answered(question, known, named)

    # Asking them -------------------------------------------------------------------------------------

    async def _spread(self, things: Sequence[Thing], near: Mapping[int, _Near]) -> None:
        """Ask nodes to hold `things`. If a node does not, the next one is asked."""
        calls: Calls[tuple[int, list[Thing]], Stored] = Calls(
            self._walks.spawn, self._walks.lateness, STORE_S
        )
        peers = {node: peer for each in near.values() for node, peer in each.peers.items()}
        contacts = {node for each in near.values() for node in each.contacts}
        while True:
            for node, theirs in _next_nodes(things).items():
                work = partial(self._walks.dht.store, peers[node], [thing.packed for thing in theirs])
                calls.start(node, (node, theirs), work, contact=node in contacts)
            if not calls.waited_for:
                return
            for (node, theirs), answer in await calls.some():
                if answer is not None:
                    self._taken(node, theirs, answer, is_contact=node in contacts)
                for thing in theirs:
                    thing.asked -= node not in thing.holders

    def _taken(self, node: int, things: Sequence[Thing], stored: Stored, *, is_contact: bool) -> None:
        """Note what a node said about each of `things`."""
        for thing, held in zip(things, stored.held, strict=True):
            if not is_contact:
                thing.kept += held
                thing.refused += not held
            if not held:
                continue
            thing.held = True
            thing.holders.add(node)
            what = thing.placement
            if what.subkey is not None:
                self._promises.made(node, thing.key, what.subkey, what.expires, self._clock())

    def _choose(self, thing: Thing, near: _Near) -> None:
        """Choose the contacts and the nearest nodes to hold a value, without those that break promises."""
        now = self._clock()
        wanted = dict.fromkeys((*_holding(near), *near.nodes[:REPLICAS]))
        thing.want(wanted, [node for node in wanted if not self._promises.breaks(node, now)])

    def _choose_further(self, thing: Thing, near: _Near) -> None:
        """Some of those did not take it: choose from all nodes that answered, with those that break promises
        last.
        """
        now = self._clock()
        nearest = sorted(near.nodes, key=lambda node: self._promises.breaks(node, now))
        wanted = dict.fromkeys((*_holding(near), *nearest[:REPLICAS]))
        thing.want(wanted, dict.fromkeys((*wanted, *nearest)))


def _by_key(things: Iterable[Thing]) -> dict[int, list[Thing]]:
    by_key: defaultdict[int, list[Thing]] = defaultdict(list)
    for thing in things:
        by_key[thing.key].append(thing)
    return by_key


def _holding(near: _Near) -> list[int]:
    """Return the contacts that should hold a value that belongs there."""
    return [node for node in near.nodes if node in near.contacts][:CONTACTS_HOLDING]


def _next_nodes(things: Iterable[Thing]) -> Mapping[int, list[Thing]]:
    """Choose the nodes to ask now, and what to ask each of them to hold."""
    chosen: defaultdict[int, list[Thing]] = defaultdict(list)
    for thing in things:
        while thing.untried and thing.asked < thing.wanted:
            node = thing.untried.pop(0)
            chosen[node].append(thing)
            thing.tried.add(node)
            thing.asked += 1
    return chosen
