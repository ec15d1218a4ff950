"""Random draws that are the same on every platform and in every version of Python: SHA-256 of a counter.

`random.Random` guarantees this only for `random()`, and a question must be the same for all peers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_BYTES = 8  # per draw: for bounds below a million the bias is under 1e-13


class Chance:
    """An endless sequence of draws determined by `parts`."""

    def __init__(self, *parts: str | int) -> None:
        self._key = "\0".join(map(str, parts)).encode()
        self._drawn = 0

    def below(self, bound: int) -> int:
        """A whole number in 0..bound-1."""
        digest = hashlib.sha256(b"%d\0%s" % (self._drawn, self._key)).digest()
        self._drawn += 1
        return int.from_bytes(digest[:_BYTES], "big") % bound

    def between(self, low: int, high: int) -> int:
        """A whole number in low..high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of `items`."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[Item]) -> list[Item]:
        """`items` in random order."""
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in items]
