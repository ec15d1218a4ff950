"""A bounded table in which strangers can displace only strangers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Kept(Generic[K, V]):
    """A dictionary of at most `size_max` entries. Close entries are dropped only when no others are left.

    Within each kind, the entry written first is dropped first.
    """

    def __init__(self, size_max: int) -> None:
        self._size_max = size_max
        self._close: dict[K, V] = {}
        self._far: dict[K, V] = {}

    def put(self, key: K, value: V, *, close: bool) -> None:
        """Write an entry, making it the newest."""
        self.pop(key)
        (self._close if close else self._far)[key] = value
        if len(self) > self._size_max:
            crowded = self._far or self._close
            del crowded[next(iter(crowded))]

    def get(self, key: K) -> V | None:
        return self._close.get(key, self._far.get(key))

    def pop(self, key: K) -> V | None:
        return self._close.pop(key, None) if key in self._close else self._far.pop(key, None)

    def keys(self) -> tuple[K, ...]:
        """All keys, close ones last; within each kind, newest last."""
        return (*self._far, *self._close)

    def close_keys(self) -> tuple[K, ...]:
        return tuple(self._close)

    def values(self) -> tuple[V, ...]:
        """All values, in the order of `keys`."""
        return (*self._far.values(), *self._close.values())

    def __contains__(self, key: object) -> bool:
        return key in self._close or key in self._far

    def __iter__(self) -> Iterator[K]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._close) + len(self._far)
