"""Tables that keep their newest entries: what others cause to be remembered has a bound. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def put_newest(table: OrderedDict[K, V], key: K, value: V, entries_max: int) -> None:
    """Put `value` under `key` as the newest entry. Beyond `entries_max`, the oldest one is dropped."""
    table[key] = value
    table.move_to_end(key)
    if len(table) > entries_max:
        table.popitem(last=False)
