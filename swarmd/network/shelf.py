"""What one peer holds of the DHT: a bounded store with expiry. Pure: `now` is an argument.

A key holds either one plain value or a dictionary of entries. It judges sizes and places, not contents:
`rules.py` has already refused what is not authentic. A full shelf refuses until something expires; a full
dictionary makes room only at the cost of whoever holds most of it, so no one peer can crowd out the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol import PEER_ID_BYTES, SHARD_ENTRIES_MAX

PLAIN_BYTES_MAX = 32 * 2**20
"""Bytes of plain values (inline bodies) in memory: 512 bodies of the largest size."""

ENTRIES_BYTES_MAX = 32 * 2**20
"""Bytes of dictionary entries in memory: 65,536 announcements of the largest size."""

KEYS_MAX = 16_384
"""DHT keys; a key costs about 1 KB of bookkeeping besides its entries."""

SWEEP_S = 10.0
"""Seconds between two sweeps for expired values; reads never show them, sweeping only frees their memory."""


@dataclass(frozen=True)
class Held:
    """A value and the Unix time after which it is forgotten."""

    value: bytes
    expires: float


@dataclass
class _Slot:
    plain: Held | None = None
    entries: dict[bytes, Held] = field(default_factory=dict)


class Shelf:
    """Values by key until they expire; see the module for what happens when it is full."""

    def __init__(
        self,
        *,
        plain_bytes_max: int = PLAIN_BYTES_MAX,
        entries_bytes_max: int = ENTRIES_BYTES_MAX,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self._plain_bytes_max = plain_bytes_max
        self._entries_bytes_max = entries_bytes_max
        self._keys_max = keys_max
        self._slots: dict[bytes, _Slot] = {}
        self._plain_bytes = 0
        self._entries_bytes = 0
        self._swept = float("-inf")

    def put_plain(self, key: bytes, value: bytes, expires: float, now: float) -> bool:
        """Hold a plain value; True also if it was held already. False: expired, not newer, or no room."""
        slot = self._slot(key, expires, now)
        if slot is None or slot.entries:
            return False
        new, old = Held(value, expires), slot.plain
        if old is not None and old.expires >= expires:
            return old == new
        growth = len(value) - (len(old.value) if old else 0)
        if self._plain_bytes + growth > self._plain_bytes_max:
            return False
        self._plain_bytes += growth
        slot.plain = new
        self._slots[key] = slot
        return True

    def put_entry(self, key: bytes, subkey: bytes, value: bytes, expires: float, now: float) -> bool:
        """Hold one entry of a dictionary; answers as `put_plain` does."""
        slot = self._slot(key, expires, now)
        if slot is None or slot.plain is not None:
            return False
        new, old = Held(value, expires), slot.entries.get(subkey)
        if old is not None and old.expires >= expires:
            return old == new
        growth = len(value) - (len(old.value) if old else 0)
        if self._entries_bytes + growth > self._entries_bytes_max:
            return False
        if old is None and len(slot.entries) >= SHARD_ENTRIES_MAX and not self._make_room(slot, subkey, now):
            return False
        self._entries_bytes += growth
        slot.entries[subkey] = new
        self._slots[key] = slot
        return True

    def plain(self, key: bytes, now: float) -> Held | None:
        """The live plain value under `key`."""
        slot = self._slots.get(key)
        return slot.plain if slot and slot.plain and slot.plain.expires > now else None

    def entries(self, key: bytes, now: float) -> Mapping[bytes, Held]:
        """The live entries under `key` by subkey, at most SHARD_ENTRIES_MAX of them."""
        slot = self._slots.get(key)
        return {subkey: held for subkey, held in slot.entries.items() if held.expires > now} if slot else {}

    def held_keys(self) -> tuple[bytes, ...]:
        """Every key; what is under it may have expired since the last sweep."""
        return tuple(self._slots)

    @property
    def bytes_held(self) -> int:
        return self._plain_bytes + self._entries_bytes

    def _slot(self, key: bytes, expires: float, now: float) -> _Slot | None:
        """Where a value would go (a new slot is not on the shelf yet), or None if it cannot go anywhere."""
        if not self._swept <= now < self._swept + SWEEP_S:
            self._sweep(now)
        if expires <= now:
            return None
        slot = self._slots.get(key)
        if slot is None and len(self._slots) < self._keys_max:
            slot = _Slot()
        return slot

    def _make_room(self, slot: _Slot, subkey: bytes, now: float) -> bool:
        """Drop an entry of the publisher with the most; False if the newcomer has as many."""
        self._drop_expired(slot, now)
        if len(slot.entries) < SHARD_ENTRIES_MAX:
            return True
        shares = Counter(held[:PEER_ID_BYTES] for held in slot.entries)
        largest, share = shares.most_common(1)[0]
        if shares[subkey[:PEER_ID_BYTES]] + 1 >= share:
            return False
        victim = min((held.expires, k) for k, held in slot.entries.items() if k.startswith(largest))[1]
        self._entries_bytes -= len(slot.entries.pop(victim).value)
        return True

    def _sweep(self, now: float) -> None:
        for slot in self._slots.values():
            self._drop_expired(slot, now)
        self._slots = {key: slot for key, slot in self._slots.items() if slot.entries or slot.plain}
        self._swept = now

    def _drop_expired(self, slot: _Slot, now: float) -> None:
        if slot.plain and slot.plain.expires <= now:
            self._plain_bytes -= len(slot.plain.value)
            slot.plain = None
        for subkey in [subkey for subkey, held in slot.entries.items() if held.expires <= now]:
            self._entries_bytes -= len(slot.entries.pop(subkey).value)
