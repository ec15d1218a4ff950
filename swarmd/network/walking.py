"""Walks through the DHT: asks what `walk.py` wants to know, and waits for as long as `awaiting.py` says."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hivemind.p2p import PeerID

from swarmd.network.answers import Answer
from swarmd.network.awaiting import Calls, Lateness
from swarmd.network.dht import SwarmDHT
from swarmd.network.dht_ids import node_id_of
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.messages import DHT_ID_BYTES, FIND_KEYS_MAX, NEIGHBOURS_MAX
from swarmd.network.newest import put_newest
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.promises import Promises
from swarmd.network.vouching import Vouching
from swarmd.network.walk import BEAM, Names, Question, Walk

CONTACTS_ASKED = 4
"""Contacts asked about a key, regardless of who is near it."""

SEARCH_S = 4.0
"""Seconds for one walk, after which the answers so far are used: four steps in which no node answers in time.
"""

SILENT_S = 5.0
"""Seconds for which a node that did not answer is not followed again, whoever names it."""

SILENT_MAX = 1_024
"""Such nodes remembered, newest first."""


@dataclass
class Known:
    """The peers behind the nodes of one walk."""

    peers: dict[int, PeerID] = field(default_factory=dict)

    def add(self, peers: Iterable[PeerID]) -> list[int]:
        found: dict[int, PeerID] = {node_id_of(peer): peer for peer in peers}
        self.peers |= found
        return list(found)


Ask = Callable[[Question, Known], Awaitable[Names | None]]
"""Asks a node. Returns the nodes that it named, or None if it did not answer."""


class Walks:
    """The walks of one DHT node. Its calls can outlive a walk; `SwarmDHT` ends them."""

    def __init__(
        self, dht: SwarmDHT, guard: Guard, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.dht = dht
        self.lateness = Lateness()
        self.promises = Promises()
        self._guard = guard
        self._clock = clock
        self._now = monotonic
        self._vouching = Vouching(monotonic)
        self._silent: OrderedDict[PeerID, float] = OrderedDict()

    async def walk(
        self,
        keys: Sequence[int],
        ask: Ask,
        enough: Callable[[], bool] = lambda: False,
        *,
        known: Known | None = None,
        sparing: bool = False,
        beam: int = BEAM,
        contacts_asked: int = CONTACTS_ASKED,
    ) -> Walk:
        """Walk towards `keys` until the `beam` nearest nodes have answered, time is up, or `enough` returns
        True.

        `known`: where to put the peers behind the nodes. `sparing`: open few connections. Hostile nodes can
        then delay the walk longer.
        """
        known = Known() if known is None else known
        start = {key: known.add(self.dht.nearest(key, NEIGHBOURS_MAX)) for key in keys}
        walk = Walk(
            keys,
            start,
            self._contacts(keys, known, contacts_asked),
            self._vouching.follow,
            keys_at_once=FIND_KEYS_MAX,
            is_connected=lambda node: not sparing or self.dht.is_connected(known.peers[node]),
            beam=beam,
        )
        calls: Calls[Question, Names] = Calls(self.spawn, self.lateness, SEARCH_S)

        def next_question() -> Question | None:
            for late in calls.late():
                walk.late(late)
            return walk.next()

        while not enough():
            while calls.waited_for < BEAM and (question := next_question()) is not None:
                if not question.contact and self.lateness.keeps_waiting(question.node):
                    walk.silent(question)
                    continue
                work = partial(ask, question, known)
                calls.start(question.node, question, work, contact=question.contact)
            if not calls.waited_for:
                break
            for asked, names in await calls.some():
                if names is None:
                    walk.silent(asked)
                else:
                    walk.answered(asked, names)
        return walk

    async def find(
        self,
        question: Question,
        known: Known,
        take: Callable[[Question, int, Answer], None] = lambda _question, _key, _answer: None,
    ) -> Names | None:
        """Ask a node what it knows about the keys; `take` gets the question and the answer for each."""
        peer, asked_at = known.peers[question.node], self._clock()
        answers = await self.dht.find(peer, [key.to_bytes(DHT_ID_BYTES) for key in question.keys])
        if answers is None:
            self.was_silent(question, known)
            return None
        by_key = dict(zip(question.keys, answers, strict=True))
        for key, answer in by_key.items():
            take(question, key, answer)
            self.promises.checked(question.node, key, answer.entries, asked_at, self._clock())
        return self.answered(question, known, {key: answer.neighbours for key, answer in by_key.items()})

    def was_silent(self, question: Question, known: Known) -> None:
        """Note that a node did not answer."""
        put_newest(self._silent, known.peers[question.node], self._now(), SILENT_MAX)

    def answered(self, question: Question, known: Known, named: Mapping[int, Iterable[PeerID]]) -> Names:
        """Note that a node answered, and return the nodes that it named, without those that did not answer
        lately.
        """
        if question.namer is not None:
            self._vouching.answered(question.namer)
        return {
            key: known.add(peer for peer in peers if not self._is_silent(peer))
            for key, peers in named.items()
        }

    def forgive(self) -> None:
        """Follow all names again, including those of peers that did not answer recently."""
        self._silent.clear()

    def _contacts(self, keys: Sequence[int], known: Known, count: int) -> Mapping[int, list[int]]:
        """Return for each key the `count` contacts nearest to it, taking one from each address group before a
        second from any.

        If no peer can be relied on yet, use the peers that gossip has met.
        """
        guard, peers = self._guard, {read_peer_id(peer.to_bytes()): peer for peer in self.dht.peers}
        chosen = list(filter(guard.relies_on, peers)) or list(filter(guard.has_met, peers))
        nodes = known.add(peers[name] for name in chosen)
        groups = dict(zip(nodes, map(guard.group, chosen), strict=True))
        return {key: _by_group(key, groups)[:count] for key in keys}

    def _is_silent(self, peer: PeerID) -> bool:
        return self._now() - self._silent.get(peer, float("-inf")) < SILENT_S

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.dht.start(work, "asking in the DHT")


def _by_group(key: int, groups: Mapping[int, str]) -> list[int]:
    """Order the nodes by distance, taking the first of each group before the second of any."""
    turns: defaultdict[str, int] = defaultdict(int)
    ranked = []
    for node in sorted(groups, key=lambda node: node ^ key):
        group = groups[node]
        ranked.append((turns[group], node ^ key, node))
        turns[group] += 1
    return [node for _, _, node in sorted(ranked)]
