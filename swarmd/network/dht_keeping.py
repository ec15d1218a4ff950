"""Checks entries that other peers ask this node to store, and entries that it receives in answers.

Both are checked by `StorageRules`. Refused entries count against their sender (`guard.py`). After JUNK_MAX
entries that were never sound, the rest of the message is not checked. A body is checked only if its sender
can afford it: to read one with many turns can take a hundred times as long as to read an announcement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from protocol import PEER_ID_BYTES, PeerId, Reason, turns_at_most
from swarmd.network.address_groups import UNKNOWN
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.interface import News
from swarmd.network.messages import Found
from swarmd.network.newest import put_newest
from swarmd.network.packing import Item
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rules import StorageRules, signer_of
from swarmd.network.shelf import Held, Shelf

JUNK_MAX = 3
"""Never-sound entries in one message, or under one key of an answer, after which the rest is not checked:
each check takes 0.4 ms.
"""

TURNS_MAX = 2_048
"""Turns in the bodies of one message, after which no further body in it is read: 80 ms. Two bodies can have
as many, but 64 ordinary ones have 500 to 1,000.
"""

UNLOCATED_S = 10.0
"""Seconds within which the address group of a connected peer becomes known (`neighbourhood.LOCATE_S`). Until
then it is a sender of its own; if it is gone by then, it shares with all others that left as quickly.
"""

UNLOCATED_MAX = 4_096
"""Such peers remembered, newest first: as many as have a remembered group (`guard.GROUPS_MAX`)."""


class Keeping:
    """Puts on the shelf what passes the rules."""

    def __init__(self, rules: StorageRules, shelf: Shelf, guard: Guard, clock: Clock) -> None:
        self._rules = rules
        self._shelf = shelf
        self._guard = guard
        self._clock = clock
        self._unlocated: OrderedDict[PeerId, float] = OrderedDict()
        """Senders whose address group was unknown, and when they first stored something."""
        self.news: News = lambda _envelope: None
        """Called with each announcement kept."""

    def keep(self, items: Sequence[Item | None], sender: bytes) -> list[bool]:
        """Store what `sender` asks for and return which items were kept. None is an unreadable item."""
        self._locate_senders()
        kept, junk, turns, is_full = [], 0, 0, False
        for item in items:
            if item is not None and item.subkey is None:
                turns += (more := turns_at_most(item.value))
                is_full = is_full or turns > TURNS_MAX or not self._guard.affords(sender, more)
                if is_full:
                    kept.append(False)
                    continue
            refusal = self._refusal(item) if junk < JUNK_MAX else Reason.SIGNATURE
            junk += refusal is not None and self._guard.judged(sender, refusal)
            kept.append(item is not None and refusal is None and self._put(item, sender))
            if item is not None and kept[-1] and item.subkey is not None and len(item.subkey) > PEER_ID_BYTES:
                self.news(item.value)
        return kept

    def believed(self, found: Found, sender: bytes) -> tuple[dict[bytes, Held], Held | None]:
        """Return what `sender` holds under one key and passes the rules: entries and plain value."""
        junk, plain = 0, None
        entries: dict[bytes, Held] = {}
        for item in found.items:
            refusal = self._refusal(item, teller=read_peer_id(sender))
            if refusal is not None:
                junk += self._guard.judged(sender, refusal)
                if junk == JUNK_MAX:
                    break
            elif item.subkey is None:
                plain = Held(item.value, item.expires)
            else:
                entries[item.subkey] = Held(item.value, item.expires)
        return entries, plain

    def _locate_senders(self) -> None:
        now = self._clock()
        for peer, since in tuple(self._unlocated.items()):
            group = self._guard.group(peer)
            if group != UNKNOWN or not since <= now < since + UNLOCATED_S:
                self._shelf.attribute(peer, group)
                del self._unlocated[peer]

    def _refusal(self, item: Item | None, teller: PeerId | None = None) -> Reason | None:
        if item is None:
            return Reason.ENCODING
        return self._rules.refusal(item.key, item.subkey, item.value, item.expires, self._clock(), teller)

    def _put(self, item: Item, sender: bytes) -> bool:
        now, source = self._clock(), self._guard.source(sender, signer_of(item.subkey, item.value))
        if source.sender == (name := read_peer_id(sender)):
            put_newest(self._unlocated, name, self._unlocated.get(name, now), UNLOCATED_MAX)
        if item.subkey is None:
            return self._shelf.put_plain(item.key, item.value, item.expires, now, source)
        return self._shelf.put_entry(item.key, item.subkey, item.value, item.expires, now, source)
