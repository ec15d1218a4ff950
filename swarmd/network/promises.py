"""Which nodes keep what they said that they hold. Pure.

A node that says yes and holds nothing takes the place of one that would hold. Some of the walks before stores
ask about the same keys, and so do reads: what a node no longer gives back shows there. It may be honest,
because it may have restarted, or its shelf may be full. So nothing is held against it, except that others are
asked to hold things before it is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from swarmd.network.newest import put_newest

PROMISES_MAX = 4_096
"""Pairs of node and key that are remembered until what was promised expires, the newest: 64 announcements a
minute, for seven nodes each, for as long as a record lives."""

BROKEN_MAX = 2
"""Keys in a row of which a node has lost something, and has nothing that it should, until it is left."""

CHECK_S = 300.0
"""Seconds for which a key is not asked about again once nodes gave back all that they promised. Each answer
holds the whole dictionary, which a store does not need: a full one is 30 KB, from eight nodes."""

LEFT_S = 600.0
"""Seconds after which that is forgotten: software gets repaired."""

NODES_MAX = 1_024
"""Nodes with a broken promise that are remembered, the newest."""


@dataclass(frozen=True)
class _Promise:
    made_at: float
    expires: float


@dataclass(frozen=True)
class _Broken:
    times: int
    last: float


class Promises:
    """Times are Unix seconds."""

    def __init__(self) -> None:
        self._promises: OrderedDict[tuple[int, int], dict[bytes, _Promise]] = OrderedDict()
        self._broken: OrderedDict[int, _Broken] = OrderedDict()
        self._checked: OrderedDict[int, float] = OrderedDict()
        """When each key was asked about to check promises. Infinitely long ago: it is to be."""

    def made(self, node: int, key: int, subkey: bytes, expires: float, now: float) -> None:
        """The node says that it holds an entry."""
        self._forget_expired(now)
        place = (node, key)
        entries = self._promises.get(place, {})
        put_newest(self._promises, place, entries, PROMISES_MAX)
        entries[subkey] = _Promise(now, expires)
        self._checked.setdefault(key, -math.inf)
        if len(self._checked) > PROMISES_MAX:
            self._checked.popitem(last=False)

    def checked(self, node: int, key: int, found: Container[bytes], asked_at: float, now: float) -> None:
        """The node, asked at `asked_at`, has `found` under `key`. An entry that it lost counts once."""
        entries = self._promises.get((node, key), {})
        due = [subkey for subkey, one in entries.items() if one.made_at < asked_at and one.expires > now]
        lost = [subkey for subkey in due if subkey not in found]
        for subkey in lost:
            del entries[subkey]
        if len(lost) < len(due):
            self._broken.pop(node, None)
        elif lost:
            self._checked[key] = -math.inf
            times = self._broken.pop(node).times if self.breaks(node, now, 1) else 0
            put_newest(self._broken, node, _Broken(times + 1, now), NODES_MAX)

    def to_check(self, key: int, now: float) -> bool:
        """Whether nodes are to be asked about `key` itself, because they promised something and nobody looked
        lately. It counts as a look."""
        if abs(now - self._checked.get(key, now)) < CHECK_S:
            return False
        self._checked[key] = now
        return True

    def _forget_expired(self, now: float) -> None:
        """The oldest first, with when their keys were asked about."""
        while self._promises:
            place, entries = next(iter(self._promises.items()))
            if any(one.expires > now for one in entries.values()):
                return
            del self._promises[place]
            self._checked.pop(place[1], None)

    def breaks(self, node: int, now: float, times: int = BROKEN_MAX) -> bool:
        """Whether others should hold things before this node does."""
        broken = self._broken.get(node)
        return broken is not None and broken.times >= times and abs(now - broken.last) < LEFT_S
