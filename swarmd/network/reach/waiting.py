"""Bounds the streams of peers that still wait: for a request, for a knock, for the other side to close."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from swarmd.network.address_groups import group_of_address

WAITING_MAX = 64
"""Streams at once, as many as are served elsewhere (`places.py`): each is a descriptor here and in p2pd."""

WAITING_OF_GROUP_MAX = 16
"""Of one address group. An honest peer has one or two, and each is over within seconds."""


class Waiting:
    """Streams of one kind that wait, by address group."""

    def __init__(self) -> None:
        self._of_group: Counter[str] = Counter()

    @contextmanager
    def place(self, address: str) -> Iterator[bool]:
        """A place until the block is left; False: there is none. `address`: where the peer is."""
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
