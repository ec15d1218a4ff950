"""One walk through the DHT: whom to ask for which keys next, and which nodes are near. Pure.

It is Kademlia's search (Maymounkov and Mazières 2002, section 2.3) among nodes of which many may be hostile:

- Only nodes that answered count as near. A name is free, so a node that names twenty peers who do not exist
  must not push the real ones out of sight.
- A name is followed on the credit of the node that gave it (`vouching.py`), and no more than NAMES_MAX are.
- Whoever was known before is asked first. So are some contacts for each key, however far from it they are: an
  attacker chooses where in the DHT its nodes are, and it does not choose the contacts.

It knows neither time nor messages: `searching.py` asks.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

BEAM = 8
"""Nodes that answered, nearest to a key, beyond which nobody is asked about it. hivemind's 20 double the
bytes of a store and find the same."""

NAMES_MAX = 24
"""Names followed for one key: the beam on each of three steps, which a swarm of thousands takes."""

Names = Mapping[int, Iterable[int]]
"""Key -> the nodes that somebody named as near to it."""


@dataclass(frozen=True)
class Question:
    """What to ask one node."""

    node: int
    keys: tuple[int, ...]
    contact: bool
    """It is asked because it is a contact."""
    namer: int | None
    """Who named it; None: this peer knew it before."""


class Walk:
    """The walk towards some keys. Nodes and keys are numbers, and XOR is the distance."""

    def __init__(
        self,
        keys: Sequence[int],
        start: Mapping[int, Iterable[int]],
        contacts: Mapping[int, Sequence[int]],
        follow: Callable[[int], bool],
        *,
        keys_at_once: int,
    ) -> None:
        """`start`, `contacts`: for each key the nodes that are known, and those that are asked in any case.
        `follow`: takes credit of a node for one name that it gave. `keys_at_once`: of one question."""
        self._keys = tuple(keys)
        self._follow = follow
        self._keys_at_once = keys_at_once
        self._contacts = {node for several in contacts.values() for node in several}
        self._due = {key: list(contacts.get(key, ())) for key in keys}
        """Contacts to ask."""
        self._known = {key: sorted(set(start.get(key, ())), key=key.__xor__) for key in keys}
        """Whom to ask, as far as they are near enough, before any name is followed."""
        self._named: dict[int, list[tuple[int, int, int]]] = {key: [] for key in keys}
        """Heaps of (distance, node, who named it)."""
        self._near: dict[int, list[tuple[int, int]]] = {key: [] for key in keys}
        """Those that answered, by distance."""
        self._asked: dict[int, set[int]] = {key: set() for key in keys}
        self._followed = dict.fromkeys(keys, 0)
        self._pending = dict.fromkeys(keys, 0)
        self._alive: set[int] = set()
        self._silent: set[int] = set()

    def next(self) -> Question | None:
        """The next question; None while there is none, which answers under way may change."""
        for key in sorted(self._keys, key=lambda key: self._pending[key]):
            if (known := self._next_known(key)) is not None:
                return self._question(key, known, None)
            if (named := self._next_named(key)) is not None:
                return self._question(key, *named)
        return None

    def answered(self, question: Question, names: Names) -> None:
        """The node answered `question`, and named others."""
        self._alive.add(question.node)
        for key in question.keys:
            self._pending[key] -= 1
            insort(self._near[key], (key ^ question.node, question.node))
            nearest = heapq.nsmallest(BEAM, {key ^ node: node for node in names.get(key, ())}.items())
            for distance, node in nearest:
                if distance < self._bound(key):
                    heapq.heappush(self._named[key], (distance, node, question.node))

    def silent(self, question: Question) -> None:
        """The node did not answer."""
        self._silent.add(question.node)
        for key in question.keys:
            self._pending[key] -= 1

    def nearest(self, key: int) -> list[int]:
        """The nodes that answered a question about `key`, the nearest first."""
        return [node for _, node in self._near[key]]

    def contacts(self, key: int) -> list[int]:
        """The contacts among them."""
        return list(filter(self.is_contact, self.nearest(key)))

    def is_contact(self, node: int) -> bool:
        return node in self._contacts

    def _next_known(self, key: int) -> int | None:
        due, known = self._due[key], self._known[key]
        while due or (known and key ^ known[0] < self._bound(key)):
            node = due.pop(0) if due else known.pop(0)
            if self._may_ask(key, node):
                return node
        return None

    def _next_named(self, key: int) -> tuple[int, int | None] | None:
        """The nearest name that may be followed, and who gave it if that takes credit."""
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
        """About `key`, and about the keys nearest to the node for which it is near enough."""
        others = [other for other in self._keys if other != key and self._may_ask(other, node)]
        near = [other for other in others if other ^ node < self._bound(other)]
        keys = (key, *heapq.nsmallest(self._keys_at_once - 1, near, key=lambda other: other ^ node))
        for each in keys:
            self._asked[each].add(node)
            self._pending[each] += 1
        return Question(node, keys, self.is_contact(node), namer)

    def _may_ask(self, key: int, node: int) -> bool:
        return node not in self._asked[key] and node not in self._silent

    def _bound(self, key: int) -> float:
        """The distance from which on nobody needs to be asked."""
        near = self._near[key]
        return near[BEAM - 1][0] if len(near) >= BEAM else float("inf")
