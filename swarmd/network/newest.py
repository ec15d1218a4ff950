"""Tables that keep their newest entries, which bounds what other peers can make this one remember. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def put_newest(table: OrderedDict[K, V], key: K, value: V, entries_max: int) -> None:
    """Store `value` under `key` as the newest entry. Drops the oldest entry beyond `entries_max`."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > entries_max:
        table.popitem(last=False)
