"""The part of the DHT that one peer holds: a bounded store with expiry. Pure: `now` and `rng` are arguments.

A key holds either one plain value or a dictionary of entries. The shelf checks sizes, slots and shares, not
contents; `rules.py` has already refused what is not authentic. Three things are bounded: the entries under
one key, all entries, and all plain values. If one is full, `shares.py` decides what to evict.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from protocol import PEER_ID_BYTES, SHARD_ENTRIES_MAX, PeerId
from swarmd.network.shares import OWN, Claim, Shares, Source

PLAIN_BYTES_MAX = 32 * 2**20
"""Memory for plain values (inline bodies): 512 bodies of the largest size."""

ENTRIES_BYTES_MAX = 48 * 2**20
"""Memory for dictionary entries: 32,768 announcements of the largest size."""

BOOKKEEPING_BYTES = 1_024
"""Memory per value besides its bytes: its key, its claims, its part of a dictionary."""

STATUSES_TOLD = 16
"""Statuses told to a reader of one key, chosen at random. There are as many keys of statuses however large
the swarm is, and 64 statuses have 27 KB, so the nodes next to them would answer for the whole swarm. A swarm
of two hundred is still told in full; beyond that, five nodes that hold the same 64 tell of 49 of them.
"""

SWEEP_S = 10.0
"""Seconds between two sweeps for expired values. Reads never return them; a sweep only frees their memory."""


@dataclass(frozen=True)
class Held:
    """A value and the Unix time at which it expires."""

    value: bytes
    expires: float


@dataclass(frozen=True, slots=True)
class _Kept:
    held: Held
    claim: Claim


@dataclass
class _Slot:
    plain: _Kept | None = None
    entries: dict[bytes, _Kept] = field(default_factory=dict)

    def at(self, subkey: bytes | None) -> _Kept | None:
        return self.plain if subkey is None else self.entries.get(subkey)


class Shelf:
    """Values by key until they expire. See the module for what happens when it is full."""

    def __init__(
        self,
        rng: random.Random,
        *,
        plain_bytes_max: int = PLAIN_BYTES_MAX,
        entries_bytes_max: int = ENTRIES_BYTES_MAX,
    ) -> None:
        self._rng = rng
        self._plain_bytes_max = plain_bytes_max
        self._entries_bytes_max = entries_bytes_max
        self._slots: dict[bytes, _Slot] = {}
        self._plain = Shares(rng)
        self._entries = Shares(rng)
        self._swept = float("-inf")

    def put_plain(self, key: bytes, value: bytes, expires: float, now: float, source: Source = OWN) -> bool:
        """Hold a plain value. Return True also if it was already held, False if it is expired, not newer, or
        has no room.
        """
        return self._put(key, None, Held(value, expires), now, source)

    def put_entry(
        self, key: bytes, subkey: bytes, value: bytes, expires: float, now: float, source: Source = OWN
    ) -> bool:
        """Hold one entry of a dictionary. Returns like `put_plain`."""
        return self._put(key, subkey, Held(value, expires), now, source)

    def plain(self, key: bytes, now: float) -> Held | None:
        """Return the live plain value under `key`."""
        slot = self._slots.get(key)
        return slot.plain.held if slot and slot.plain and slot.plain.held.expires > now else None

    def entries(self, key: bytes, now: float) -> Mapping[bytes, Held]:
        """Return the live entries under `key` by subkey, at most SHARD_ENTRIES_MAX."""
        slot = self._slots.get(key, _Slot())
        return {subkey: kept.held for subkey, kept in slot.entries.items() if kept.held.expires > now}

    def answer(self, key: bytes, caller: PeerId, now: float) -> Mapping[bytes, Held]:
        """Return what to tell `caller` of the live entries under `key`."""
        return told(self.entries(key, now), caller, self._rng)

    def attribute(self, sender: str, group: str) -> None:
        """From now on, count what `sender` delivered as delivered by `group`."""
        for claim in self._plain.of(sender) + self._entries.of(sender):
            slot = self._slots[claim.place[0]]
            kept = slot.at(claim.place[1])
            if kept is not None:
                self._recredit(slot, kept, replace(claim.source, sender=group))

    def held_keys(self) -> tuple[bytes, ...]:
        """Return all keys. What is under them may have expired since the last sweep."""
        return tuple(self._slots)

    @property
    def bytes_held(self) -> int:
        """Memory in use, including bookkeeping."""
        return int(self._plain.size + self._entries.size)

    def _put(self, key: bytes, subkey: bytes | None, new: Held, now: float, source: Source) -> bool:
        if not self._swept <= now < self._swept + SWEEP_S:
            self._sweep(now)
        slot = self._slots.get(key, _Slot())
        if new.expires <= now or (slot.entries if subkey is None else slot.plain):
            return False
        old = slot.at(subkey)
        if old is not None and old.held.expires >= new.expires:
            if old.held == new:
                self._credit(slot, old, source)
            return old.held == new
        claim = Claim(source, len(new.value) + BOOKKEEPING_BYTES, (key, subkey))
        if old is not None:
            self._drop(old.claim)
        if not (self._has_place(key, claim, now) and self._has_room(claim)):
            if old is not None:  # there is no room for the newer one; the older one stays
                self._keep(self._slots.setdefault(key, _Slot()), old)
            return False
        # the evicted entry may have been the last one in the slot
        slot = self._slots.setdefault(key, _Slot())
        self._keep(slot, _Kept(new, claim))
        return True

    def _credit(self, slot: _Slot, old: _Kept, source: Source) -> None:
        """Credit an entry that was stored again to the sender that holds less.

        Otherwise a sender could claim other peers' entries and have them evicted with its own.
        """
        shares = self._shares(old.claim)
        if source == OWN or shares.held_by(source.sender) < shares.held_by(old.claim.source.sender):
            self._recredit(slot, old, source)

    def _recredit(self, slot: _Slot, old: _Kept, source: Source) -> None:
        self._shares(old.claim).remove(old.claim)
        self._keep(slot, _Kept(old.held, Claim(source, old.claim.size, old.claim.place)))

    def _has_place(self, key: bytes, claim: Claim, now: float) -> bool:
        """Whether the dictionary has a slot for one more entry, evicting one if necessary."""
        slot = self._slots.get(key, _Slot())
        if claim.place[1] is None or len(slot.entries) < SHARD_ENTRIES_MAX:
            return True
        self._drop_expired(slot, now)
        if len(slot.entries) < SHARD_ENTRIES_MAX:
            return True
        places = Shares(self._rng)
        for subkey, kept in slot.entries.items():
            places.add(Claim(kept.claim.source, 1.0, (key, subkey)))
        victim = places.victim_for(Claim(claim.source, 1.0, claim.place))
        if victim is None:
            return False
        self._drop(slot.entries[victim.place[1] or b""].claim)
        return True

    def _has_room(self, claim: Claim) -> bool:
        """Whether there is memory for the claim, evicting others if necessary."""
        shares = self._shares(claim)
        size_max = self._plain_bytes_max if claim.place[1] is None else self._entries_bytes_max
        while shares.size + claim.size > size_max:
            victim = shares.victim_for(claim)
            if victim is None:
                return False
            self._drop(victim)
        return True

    def _shares(self, claim: Claim) -> Shares:
        return self._plain if claim.place[1] is None else self._entries

    def _keep(self, slot: _Slot, kept: _Kept) -> None:
        subkey = kept.claim.place[1]
        self._shares(kept.claim).add(kept.claim)
        if subkey is None:
            slot.plain = kept
        else:
            slot.entries[subkey] = kept

    def _drop(self, claim: Claim) -> None:
        key, subkey = claim.place
        self._shares(claim).remove(claim)
        slot = self._slots[key]
        if subkey is None:
            slot.plain = None
        else:
            del slot.entries[subkey]
        if not slot.entries and slot.plain is None:
            del self._slots[key]

    def _sweep(self, now: float) -> None:
        for slot in tuple(self._slots.values()):
            self._drop_expired(slot, now)
        self._swept = now

    def _drop_expired(self, slot: _Slot, now: float) -> None:
        kept = [slot.plain] if slot.plain else list(slot.entries.values())
        for one in kept:
            if one.held.expires <= now:
                self._drop(one.claim)


def told(entries: Mapping[bytes, Held], caller: PeerId, rng: random.Random) -> Mapping[bytes, Held]:
    """Return all entries, or of more than STATUSES_TOLD statuses a sample.

    The caller's own status is always among them: it checks whether it is still held (`promises.py`).
    """
    own = caller.encode()
    others = [subkey for subkey in entries if len(subkey) == PEER_ID_BYTES and subkey != own]
    surplus = len(others) + (own in entries) - STATUSES_TOLD
    left_out = set(rng.sample(others, surplus)) if surplus > 0 else set()
    return {subkey: held for subkey, held in entries.items() if subkey not in left_out}
