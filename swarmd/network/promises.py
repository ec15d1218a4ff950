"""Tracks which nodes still hold what they agreed to hold. Pure.

A node that agrees and then drops the value takes the slot of a node that would hold it. Some of the walks
before stores ask about the same keys, and so do reads, and their answers show what a node has dropped. The
node may be honest, because it may have restarted or its shelf may be full. The only consequence is therefore
that other nodes are asked first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from swarmd.network.newest import put_newest

PROMISES_MAX = 4_096
"""Pairs of node and key remembered until the entry expires, newest first: 64 announcements per minute on
seven nodes each, for the lifetime of a record.
"""

BROKEN_MAX = 2
"""Keys in a row for which a node lost everything it should hold, before it is passed over."""

CHECK_S = 300.0
"""Seconds for which a key is not checked again after all nodes returned what they promised. Each answer
contains the whole dictionary, which a store does not need: eight nodes send up to 30 KB each.
"""

LEFT_S = 600.0
"""Seconds after which a broken promise is forgotten, because software gets fixed."""

NODES_MAX = 1_024
"""Nodes with a broken promise that are remembered, newest first."""


@dataclass(frozen=True)
class _Promise:
    made_at: float
    expires: float


@dataclass(frozen=True)
class _Broken:
    times: int
    last: float


class Promises:
    """All times are Unix seconds."""

    def __init__(self) -> None:
        self._promises: OrderedDict[tuple[int, int], dict[bytes, _Promise]] = OrderedDict()
        self._broken: OrderedDict[int, _Broken] = OrderedDict()
        self._checked: OrderedDict[int, float] = OrderedDict()
        """When each key was last checked. -inf means that a check is due."""

    def made(self, node: int, key: int, subkey: bytes, expires: float, now: float) -> None:
        """The node agreed to hold an entry."""
        self._forget_expired(now)
        place = (node, key)
        entries = self._promises.get(place, {})
        put_newest(self._promises, place, entries, PROMISES_MAX)
        entries[subkey] = _Promise(now, expires)
        self._checked.setdefault(key, -math.inf)
        if len(self._checked) > PROMISES_MAX:
            self._checked.popitem(last=False)

    def checked(self, node: int, key: int, found: Container[bytes], asked_at: float, now: float) -> None:
        """The node, asked at `asked_at`, holds `found` under `key`. Each lost entry counts once."""
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
        """Return whether to ask nodes about `key` itself, because some promised to hold entries and none was
        checked recently.

        Returning True counts as a check.
        """
        if abs(now - self._checked.get(key, now)) < CHECK_S:
            return False
        self._checked[key] = now
        return True

    def _forget_expired(self, now: float) -> None:
        """Drop expired promises, oldest first, and the times at which their keys were checked."""
        while self._promises:
            place, entries = next(iter(self._promises.items()))
            if any(one.expires > now for one in entries.values()):
                return
            del self._promises[place]
            self._checked.pop(place[1], None)

    def breaks(self, node: int, now: float, times: int = BROKEN_MAX) -> bool:
        """Return whether other nodes should be asked before this one."""
        broken = self._broken.get(node)
        return broken is not None and broken.times >= times and abs(now - broken.last) < LEFT_S
