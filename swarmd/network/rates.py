"""Limits what one peer, one address group and all strangers together can request. Pure.

Every request is charged before it is decoded. It needs a token from its sender's own bucket, which an honest
peer never empties even at full speed. If the sender is not KNOWN, the request also needs a token from its
group's bucket and from the bucket of all strangers. A small floor is reserved for every peer, so that many
names behind one connection cannot use up what an honest peer beside them needs. If there are no more floors,
a group that has fewer takes one from the group that has most. A peer that keeps exceeding its own bucket is
flooding.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from swarmd.network.interface import Standing
from swarmd.network.newest import put_newest


class Kind(StrEnum):
    """What is requested."""

    PING = "ping"
    FIND = "find"
    """charged per key"""
    STORE = "store"
    """charged per quarter of a KiB, about the size of the shortest entry with a signature to verify"""
    STREAM = "stream"


@dataclass(frozen=True)
class Rate:
    """A token bucket: tokens per second, and its capacity."""

    per_second: float
    burst: float

    def times(self, factor: float) -> Rate:
        return Rate(self.per_second * factor, self.burst * factor)


PEER: Mapping[Kind, Rate] = {
    # Once at join, and when a peer's slot in a routing table is checked: a few per hour.
    Kind.PING: Rate(2, 30),
    # gossip/limits.py: reads 8 keys in 2 s and 8 in 5 s, stores to a few keys per second: 10 per second.
    Kind.FIND: Rate(40, 400),
    # Eight groups per second are 8 announcements of 600 bytes: 20 per second. The burst allows a peer to
    # announce several rounds again after a restart, or to store 16 inline bodies of 64 KiB in one message (64
    # tokens, and one for every ten completions).
    Kind.STORE: Rate(64, 1_024),
    # Eight pulls at once, two from one peer, each taking a few tenths of a second: below 8 per second.
    Kind.STREAM: Rate(16, 128),
}
"""Per peer. A key looked up costs this machine 0.3 ms, an entry stored 0.4 ms, a stream 1 ms: a few per cent
of a core.
"""

FLOOR: Mapping[Kind, Rate] = {
    Kind.PING: Rate(0.5, 5),
    Kind.FIND: Rate(8, 64),
    Kind.STORE: Rate(12, 128),
    Kind.STREAM: Rate(4, 16),
}
"""Reserved for each peer that is not KNOWN: about what an honest peer needs."""

GROUP: Mapping[Kind, Rate] = {
    Kind.PING: Rate(10, 300),
    Kind.FIND: Rate(160, 2_000),
    Kind.STORE: Rate(200, 4_096),
    Kind.STREAM: Rate(48, 400),
}
"""For all peers of one address group that are not KNOWN, beyond their floors: enough for four peers at full
speed, or for an experiment with 64 peers on one machine at ordinary speed.
"""

STRANGERS: Mapping[Kind, Rate] = {kind: rate.times(2) for kind, rate in GROUP.items()}
"""For all peers that are not KNOWN, beyond their floors: a fifth of a core."""

KNOWN_FACTOR = 4.0
"""How many times as much as others a KNOWN peer can request."""

PATIENCE = Rate(4, 80)
"""Refusals that one peer can cause before it counts as flooding. An honest peer that was too fast slows down.
"""

FLOORS_MAX = 128
"""Peers with a floor at the same time. A later peer shares with its group until a floor is idle, unless its
group has at least two floors less than another.
"""

FLOOR_IDLE_S = 60.0
"""Seconds without a request after which a peer's floor can be given to another."""

BUCKETS_MAX = 8_192
"""Buckets in one table (2 MB). The least recently used is dropped first; it has had time to refill."""


class Buckets:
    """Token buckets by name."""

    def __init__(self, size_max: int = BUCKETS_MAX) -> None:
        self._size_max = size_max
        self._levels: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: object, rate: Rate, cost: float, now: float, *, full: bool = True) -> bool:
        """Take `cost` tokens. Return whether they were available. `full`: whether a new bucket is full."""
        level, at = self._levels.get(name, (rate.burst if full else 0.0, now))
        level = min(rate.burst, level + max(0.0, now - at) * rate.per_second)
        enough = level >= cost
        put_newest(self._levels, name, (level - cost if enough else level, now), self._size_max)
        return enough

    def charge(self, name: object, rate: Rate, cost: float, now: float) -> None:
        """Charge `cost` tokens after the fact. The level can go negative, down to minus the burst."""
        self.take(name, rate, 0.0, now)
        level, at = self._levels[name]
        self._levels[name] = (max(-rate.burst, level - cost), at)


class Admission(StrEnum):
    """The decision on a request."""

    YES = "yes"
    CROWDED = "crowded"
    """its group or too many strangers send requests at the same time: not this peer's fault"""
    TOO_FAST = "too_fast"
    FLOOD = "flood"
    """too fast, even after repeated refusals"""


class _Floored(NamedTuple):
    """A peer that has a floor."""

    group: str
    asked_at: float


class Rates:
    """All buckets of one transport."""

    def __init__(self) -> None:
        self._peers = Buckets()
        self._groups = Buckets()
        self._strangers = Buckets()
        self._patience = Buckets()
        self._floors = Buckets()
        self._floored: OrderedDict[str, _Floored] = OrderedDict()

    def admit(
        self, peer: str, group: str, kind: Kind, cost: float, standing: Standing, now: float
    ) -> Admission:
        """Decide whether to serve a request of `cost` tokens."""
        known = standing >= Standing.KNOWN
        own = PEER[kind].times(KNOWN_FACTOR) if known else PEER[kind]
        if not self._peers.take((peer, kind), own, cost, now):
            patient = self._patience.take(peer, PATIENCE, 1.0, now)
            return Admission.TOO_FAST if patient else Admission.FLOOD
        if known or self._from_floor(peer, group, kind, cost, now):
            return Admission.YES
        if self._groups.take((group, kind), GROUP[kind], cost, now) and self._strangers.take(
            kind, STRANGERS[kind], cost, now
        ):
            return Admission.YES
        return Admission.CROWDED

    def charge(self, peer: str, kind: Kind, cost: float, standing: Standing, now: float) -> None:
        """Charge `cost` more tokens, because serving the peer cost more than estimated."""
        own = PEER[kind].times(KNOWN_FACTOR) if standing >= Standing.KNOWN else PEER[kind]
        self._peers.charge((peer, kind), own, cost, now)

    def _from_floor(self, peer: str, group: str, kind: Kind, cost: float, now: float) -> bool:
        """A new peer's floor starts empty, so using many names in turn gains nothing."""
        if peer not in self._floored:
            while self._floored and now - next(iter(self._floored.values())).asked_at > FLOOR_IDLE_S:
                self._floored.popitem(last=False)
            if len(self._floored) >= FLOORS_MAX and not self._frees_floor(group):
                return False
        self._floored[peer] = _Floored(group, now)
        self._floored.move_to_end(peer)
        return self._floors.take((peer, kind), FLOOR[kind], cost, now, full=False)

    def _frees_floor(self, group: str) -> bool:
        """Take a floor from the group that has most, if `group` still has no more than it afterwards."""
        floors = Counter(floored.group for floored in self._floored.values())
        largest, most = floors.most_common(1)[0]
        if floors[group] + 1 >= most:
            return False
        del self._floored[next(peer for peer, floored in self._floored.items() if floored.group == largest)]
        return True
