"""Bounds the streams of peers that are waiting for a request, for a probe, or for the other side to close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.network.address_groups import group_of_address

WAITING_MAX = 64
"""Streams at once, as many as are served elsewhere (`places.py`). Each is a descriptor here and in p2pd."""

WAITING_OF_GROUP_MAX = 16
"""Streams per address group. An honest peer has one or two, and each ends within seconds."""


class Waiting:
    """Waiting streams of one kind, by address group."""

    def __init__(self) -> None:
        self._of_group: Counter[str] = Counter()

    @contextmanager
    def place(self, address: str) -> Iterator[bool]:
        """Take a slot until the block exits, and yield whether one was free. `address`: the peer's."""
        group = group_of_address(address)
        if self._of_group.total() >= WAITING_MAX or self._of_group[group] >= WAITING_OF_GROUP_MAX:
            yield False
            return
        self._of_group[group] += 1
        try:
            yield True
        finally:
            self._of_group[group] -= 1
            self._of_group += Counter()  # drops groups at zero
