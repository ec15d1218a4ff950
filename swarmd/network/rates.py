"""How much one peer, one group of addresses and all strangers together may ask for. Pure.

Every request is counted before it is decoded. It must find a token in its sender's own bucket, which no
honest peer empties at full speed. If the sender is not KNOWN, the request must also find a token in its
group's bucket and in that of all strangers. But a little is set aside for every peer, so that siblings behind
one connection cannot use up what an honest peer beside them needs. A peer that goes on far beyond its own
bucket floods.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from swarmd.network.interface import Standing
from swarmd.network.newest import put_newest


class Kind(StrEnum):
    """What is asked for."""

    PING = "ping"
    FIND = "find"
    """in keys"""
    STORE = "store"
    """in quarters of a KiB: the shortest thing with a signature to verify has about as much"""
    STREAM = "stream"


@dataclass(frozen=True)
class Rate:
    """A bucket: tokens per second, and how many it holds."""

    per_second: float
    burst: float

    def times(self, factor: float) -> Rate:
        return Rate(self.per_second * factor, self.burst * factor)


PEER: Mapping[Kind, Rate] = {
    # Once at join, and when its place in a routing table is checked: some per hour.
    Kind.PING: Rate(2, 30),
    # gossip/limits.py: 8 keys in 2 s and 8 in 5 s are read, some keys per second stored to: 10 per second.
    Kind.FIND: Rate(40, 400),
    # Eight groups per second are 8 announcements of 600 bytes: 20 per second. The burst is for announcing
    # some rounds again after a restart, or 16 inline bodies of 64 KiB in one message (64 tokens at most).
    Kind.STORE: Rate(64, 1_024),
    # Eight pulls at once, two of one peer, each taking some tenths of a second: below 8 per second.
    Kind.STREAM: Rate(16, 128),
}
"""Of one peer. Here a key found costs 0.3 ms, a thing stored 0.4, a stream 1: some per cent of a core."""

FLOOR: Mapping[Kind, Rate] = {
    Kind.PING: Rate(0.5, 5),
    Kind.FIND: Rate(8, 64),
    Kind.STORE: Rate(12, 128),
    Kind.STREAM: Rate(4, 16),
}
"""Set aside for one peer that is not KNOWN: about what an honest one needs."""

GROUP: Mapping[Kind, Rate] = {
    Kind.PING: Rate(10, 300),
    Kind.FIND: Rate(160, 2_000),
    Kind.STORE: Rate(200, 4_096),
    Kind.STREAM: Rate(48, 400),
}
"""Of all peers of one group of addresses that are not KNOWN, beyond their floors: enough for four peers at
full speed, or for an experiment of 64 peers on one machine at an ordinary speed."""

STRANGERS: Mapping[Kind, Rate] = {kind: rate.times(2) for kind, rate in GROUP.items()}
"""Of all peers that are not KNOWN together, beyond their floors: a fifth of a core."""

KNOWN_FACTOR = 4.0
"""How many times as much a KNOWN peer may ask for as others may."""

PATIENCE = Rate(4, 80)
"""Refusals that one peer may cause before it floods: an honest one that was too fast slows down."""

FLOORS_MAX = 128
"""Peers that have something set aside at once. A later one shares with its group until a floor is idle."""

FLOOR_IDLE_S = 60.0
"""Seconds without a request after which a floor is given to another."""

BUCKETS_MAX = 8_192
"""Buckets of one table (2 MB). The one used longest ago is forgotten first: it had time to fill again."""


class Buckets:
    """Token buckets by name."""

    def __init__(self, size_max: int = BUCKETS_MAX) -> None:
        self._size_max = size_max
        self._levels: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def take(self, name: object, rate: Rate, cost: float, now: float, *, full: bool = True) -> bool:
        """Take `cost` tokens. Returns whether they were there. A new bucket is full if `full`, else empty."""
        level, at = self._levels.get(name, (rate.burst if full else 0.0, now))
        level = min(rate.burst, level + max(0.0, now - at) * rate.per_second)
        enough = level >= cost
        put_newest(self._levels, name, (level - cost if enough else level, now), self._size_max)
        return enough

    def charge(self, name: object, rate: Rate, cost: float, now: float) -> None:
        """Take `cost` tokens that turned out to be due; what is not there is owed."""
        self.take(name, rate, 0.0, now)
        level, at = self._levels[name]
        self._levels[name] = (max(-rate.burst, level - cost), at)


class Admission(StrEnum):
    """What becomes of a request."""

    YES = "yes"
    CROWDED = "crowded"
    """others of its group, or too many strangers, ask at the same time: not this peer's fault"""
    TOO_FAST = "too_fast"
    FLOOD = "flood"
    """too fast, and it went on"""


class Rates:
    """All buckets of one transport."""

    def __init__(self) -> None:
        self._peers = Buckets()
        self._groups = Buckets()
        self._strangers = Buckets()
        self._patience = Buckets()
        self._floors = Buckets()
        self._floored: OrderedDict[str, float] = OrderedDict()

    def admit(
        self, peer: str, group: str, kind: Kind, cost: float, standing: Standing, now: float
    ) -> Admission:
        """Whether a request of `cost` tokens is served."""
        known = standing >= Standing.KNOWN
        own = PEER[kind].times(KNOWN_FACTOR) if known else PEER[kind]
        if not self._peers.take((peer, kind), own, cost, now):
            patient = self._patience.take(peer, PATIENCE, 1.0, now)
            return Admission.TOO_FAST if patient else Admission.FLOOD
        if known or self._from_floor(peer, kind, cost, now):
            return Admission.YES
        if self._groups.take((group, kind), GROUP[kind], cost, now) and self._strangers.take(
            kind, STRANGERS[kind], cost, now
        ):
            return Admission.YES
        return Admission.CROWDED

    def charge(self, peer: str, kind: Kind, cost: float, standing: Standing, now: float) -> None:
        """Charge `cost` tokens more: serving the peer took more than it seemed."""
        own = PEER[kind].times(KNOWN_FACTOR) if standing >= Standing.KNOWN else PEER[kind]
        self._peers.charge((peer, kind), own, cost, now)

    def _from_floor(self, peer: str, kind: Kind, cost: float, now: float) -> bool:
        """A newcomer's floor is empty at first: many names in turn get nothing out of it."""
        if peer not in self._floored:
            while self._floored and now - next(iter(self._floored.values())) > FLOOR_IDLE_S:
                self._floored.popitem(last=False)
            if len(self._floored) >= FLOORS_MAX:
                return False
        self._floored[peer] = now
        self._floored.move_to_end(peer)
        return self._floors.take((peer, kind), FLOOR[kind], cost, now, full=False)
