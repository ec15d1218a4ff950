"""One walk through the DHT: which node to ask about which keys next, and which nodes are near. Pure.

This is Kademlia's search (Maymounkov and Mazières 2002, section 2.3) for a network in which many nodes may be
hostile:

- Only nodes that answered count as near. Names are free, so a node that returns twenty peers that do not
  exist must not displace real ones.
- Following a name is charged to the node that returned it (`vouching.py`), and at most NAMES_MAX are
  followed.
- Nodes that were known before are asked first. So are some contacts for each key, however far from it: an
  attacker chooses where its nodes are in the DHT, but not which peers are contacts.
- Nodes that were known before but are not connected are asked a few at a time, and only while no nearer name
  is left: each costs a connection, and the first answers usually name nearer nodes.
- While an answer can still come in time, nobody is asked in its place. Otherwise, each of the first answers
  would lead to a node that is near only as long as nearer ones have not answered yet: 27 nodes instead of 18
  in a swarm of 10,000.

This module handles neither time nor messages; `walking.py` does.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

BEAM = 8
"""Nearest nodes that must have answered about a key before the walk stops there. hivemind's 20 double the
bytes of a store and find the same.
"""

KNOCKS_MAX = 3
"""Known nodes that are not connected and are asked at once about one key: Kademlia's alpha. Asking eight led
to 16 new connections for an announcement in a swarm of 10,000, instead of 13.
"""

NAMES_MAX = 24
"""Names followed for one key: the beam on each of three steps, which is what a swarm of thousands takes."""

Names = Mapping[int, Iterable[int]]
"""Key -> the nodes that another node returned as near to it."""


@dataclass(frozen=True)
class Question:
    """What to ask one node."""

    node: int
    keys: tuple[int, ...]
    contact: bool
    """Whether the node is asked because it is a contact."""
    namer: int | None
    """The node that returned this one, or None if this peer knew it before."""


class Walk:
    """The walk towards several keys. Nodes and keys are numbers, with XOR as the distance."""

    def __init__(
        self,
        keys: Sequence[int],
        start: Mapping[int, Iterable[int]],
        contacts: Mapping[int, Sequence[int]],
        follow: Callable[[int], bool],
        *,
        keys_at_once: int,
        is_connected: Callable[[int], bool] = lambda _node: True,
        beam: int = BEAM,
    ) -> None:
        """`start`, `contacts`: for each key, the known nodes and those asked in any case.

        `follow`: charges a node for one name it returned. `keys_at_once`: the keys in one question.
        `beam`: the nearest nodes that must have answered.
        """
        self._beam = beam
        self._is_connected = is_connected
        self._keys = tuple(keys)
        self._follow = follow
        self._keys_at_once = keys_at_once
        self._contacts = {node for several in contacts.values() for node in several}
        self._due = {key: list(contacts.get(key, ())) for key in keys}
        """Contacts still to ask."""
        self._known = {key: sorted(set(start.get(key, ())), key=key.__xor__) for key in keys}
        """Known nodes to ask, if near enough, before any name is followed."""
        self._named: dict[int, list[tuple[int, int, int]]] = {key: [] for key in keys}
        """Heaps of (distance, node, node that returned it)."""
        self._near: dict[int, list[tuple[int, int]]] = {key: [] for key in keys}
        """Nodes that answered, by distance."""
        self._asked: dict[int, set[int]] = {key: set() for key in keys}
        self._followed = dict.fromkeys(keys, 0)
        self._pending = dict.fromkeys(keys, 0)
        self._expected: dict[int, set[int]] = {key: set() for key in keys}
        """Distances of the nodes whose answers can still come in time."""
        self._knocking: dict[int, set[int]] = {key: set() for key in keys}
        """Known nodes that were not connected and have not answered yet."""
        self._alive: set[int] = set()
        self._silent: set[int] = set()

    def next(self) -> Question | None:
        """Return the next question, or None if there is none for now. Pending answers can add more."""
        for key in sorted(self._keys, key=lambda key: self._pending[key]):
            if (known := self._next_known(key)) is not None:
                return self._question(key, known, None)
            if (named := self._next_named(key)) is not None:
                return self._question(key, *named)
            if (known := self._next_known(key)) is not None:  # the nearer names could not be followed
                return self._question(key, known, None)
        return None

    def answered(self, question: Question, names: Names) -> None:
        """The node answered `question` and returned `names`."""
        self._alive.add(question.node)
        for key in question.keys:
            self._pending[key] -= 1
            self._expected[key].discard(key ^ question.node)
            self._knocking[key].discard(question.node)
            insort(self._near[key], (key ^ question.node, question.node))
            nearest = heapq.nsmallest(BEAM, {key ^ node: node for node in names.get(key, ())}.items())
            for distance, node in nearest:
                if distance < self._bound(key):
                    heapq.heappush(self._named[key], (distance, node, question.node))

    def late(self, question: Question) -> None:
        """The node has not answered in time, so others are asked in its place. Its answer still counts."""
        for key in question.keys:
            self._expected[key].discard(key ^ question.node)
            self._knocking[key].discard(question.node)

    def silent(self, question: Question) -> None:
        """The node did not answer."""
        self.late(question)
        self._silent.add(question.node)
        for key in question.keys:
            self._pending[key] -= 1

    def nearest(self, key: int) -> list[int]:
        """Return the nodes that answered a question about `key`, nearest first."""
        return [node for _, node in self._near[key]]

    def contacts(self, key: int) -> list[int]:
        """Return the contacts among `nearest`."""
        return list(filter(self.is_contact, self.nearest(key)))

    def is_contact(self, node: int) -> bool:
        return node in self._contacts

    def _next_known(self, key: int) -> int | None:
        due, known = self._due[key], self._known[key]
        while due:
            if self._may_ask(key, node := due.pop(0)):
                return node
        while known and key ^ known[0] < self._bound(key) and not self._waits(key, known[0]):
            if self._may_ask(key, node := known.pop(0)):
                if not self._is_connected(node):
                    self._knocking[key].add(node)
                return node
        return None

    def _waits(self, key: int, node: int) -> bool:
        """Whether a known node is left for later, because it would have to be connected first."""
        if self._is_connected(node):
            return False
        may_follow = self._named[key] and self._followed[key] < NAMES_MAX
        nearest_name = self._named[key][0][0] if may_follow else float("inf")
        return len(self._knocking[key]) >= KNOCKS_MAX or nearest_name < key ^ node

    def _next_named(self, key: int) -> tuple[int, int | None] | None:
        """Return the nearest name that can be followed, and the node charged for it, if any."""
        named, bound = self._named[key], self._bound(key)
        while named and named[0][0] < bound and self._followed[key] < NAMES_MAX:
            _, node, namer = heapq.heappop(named)
            if not self._may_ask(key, node):
                continue
            if node in self._alive:
                return node, None
            if self._follow(namer):
                self._followed[key] += 1
                return node, namer
        return None

    def _question(self, key: int, node: int, namer: int | None) -> Question:
        """Build a question about `key` and other keys for which the node is near enough, nearest first."""
        others = [other for other in self._keys if other != key and self._may_ask(other, node)]
        bound = self._bound if namer is None else self._likely_bound
        near = [other for other in others if other ^ node < bound(other)]
        keys = (key, *heapq.nsmallest(self._keys_at_once - 1, near, key=lambda other: other ^ node))
        for each in keys:
            self._asked[each].add(node)
            self._pending[each] += 1
            self._expected[each].add(each ^ node)
        return Question(node, keys, self.is_contact(node), namer)

    def _may_ask(self, key: int, node: int) -> bool:
        return node not in self._asked[key] and node not in self._silent

    def _bound(self, key: int, others: Iterable[int] = ()) -> float:
        """The distance beyond which no node needs to be asked.

        `others`: the distances of nodes that count as if they had answered.
        """
        answered = (distance for distance, _ in self._near[key][: self._beam])
        near = heapq.nsmallest(self._beam, (*answered, *self._expected[key], *others))
        return near[-1] if len(near) == self._beam else float("inf")

    def _likely_bound(self, key: int) -> float:
        """The distance beyond which a node is probably not among the nearest ones: all that are known and not
        asked yet will probably answer.
        """
        return self._bound(key, map(key.__xor__, self._known[key][: self._beam]))
