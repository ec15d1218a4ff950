"""Which nodes keep what they said that they hold. Pure.

A node that says yes and holds nothing takes the place of one that would hold. The walk before each store asks
about the same keys, and so do reads: what a node no longer gives back shows there. It may be honest, because
it may have restarted, or its shelf may be full. So nothing is held against it, except that others are asked
to hold things before it is.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

PROMISES_MAX = 4_096
"""Pairs of node and key that are remembered, the newest: 64 announcements a minute, for seven nodes each, for
as long as a record lives."""

BROKEN_MAX = 2
"""Keys in a row of which a node has lost something, and has nothing that it should, until it is left."""

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

    def made(self, node: int, key: int, subkey: bytes, expires: float, now: float) -> None:
        """The node says that it holds an entry."""
        place = (node, key)
        entries = self._promises.pop(place, {})
        self._promises[place] = entries
        entries[subkey] = _Promise(now, expires)
        if len(self._promises) > PROMISES_MAX:
            self._promises.popitem(last=False)

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
            times = self._broken.pop(node).times if self.breaks(node, now, 1) else 0
            self._broken[node] = _Broken(times + 1, now)
            if len(self._broken) > NODES_MAX:
                self._broken.popitem(last=False)

    def breaks(self, node: int, now: float, times: int = BROKEN_MAX) -> bool:
        """Whether others should hold things before this node does."""
        broken = self._broken.get(node)
        return broken is not None and broken.times >= times and abs(now - broken.last) < LEFT_S
