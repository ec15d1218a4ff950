"""What this node believes of what others send: entries that it should store, and entries that it asked for.

Both are checked by `StorageRules`. What is refused counts against its sender (`guard.py`), and after JUNK_MAX
things that were never sound the rest is not checked.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol import PEER_ID_BYTES, Reason
from swarmd.network.dht_storage import Clock
from swarmd.network.guard import Guard
from swarmd.network.interface import News
from swarmd.network.messages import Found
from swarmd.network.packing import Item
from swarmd.network.rules import StorageRules, signer_of
from swarmd.network.shelf import Held, Shelf

JUNK_MAX = 3
"""Things that were never sound in one message, or under one key of one answer, after which the rest is not
checked: each check takes 0.4 ms."""


class Keeping:
    """Puts on the shelf what passes the rules."""

    def __init__(self, rules: StorageRules, shelf: Shelf, guard: Guard, clock: Clock) -> None:
        self._rules = rules
        self._shelf = shelf
        self._guard = guard
        self._clock = clock
        self.news: News = lambda _envelope: None
        """Told of the announcements kept."""

    def keep(self, items: Sequence[Item | None], sender: bytes) -> list[bool]:
        """Which of the items that `sender` asks to store are kept. None: one that could not be read."""
        kept, junk = [], 0
        for item in items:
            refusal = self._refusal(item) if junk < JUNK_MAX else Reason.SIGNATURE
            junk += refusal is not None and self._guard.judged(sender, refusal)
            kept.append(item is not None and refusal is None and self._put(item, sender))
            if item is not None and kept[-1] and item.subkey is not None and len(item.subkey) > PEER_ID_BYTES:
                self.news(item.value)
        return kept

    def believed(self, found: Found, sender: bytes) -> tuple[dict[bytes, Held], Held | None]:
        """What `sender` holds under one key, without what breaks the rules: by subkey, and without one."""
        junk, plain = 0, None
        entries: dict[bytes, Held] = {}
        for item in found.items:
            refusal = self._refusal(item)
            if refusal is not None:
                junk += self._guard.judged(sender, refusal)
                if junk == JUNK_MAX:
                    break
            elif item.subkey is None:
                plain = Held(item.value, item.expires)
            else:
                entries[item.subkey] = Held(item.value, item.expires)
        return entries, plain

    def _refusal(self, item: Item | None) -> Reason | None:
        if item is None:
            return Reason.ENCODING
        return self._rules.refusal(item.key, item.subkey, item.value, item.expires, self._clock())

    def _put(self, item: Item, sender: bytes) -> bool:
        now, source = self._clock(), self._guard.source(sender, signer_of(item.subkey, item.value))
        if item.subkey is None:
            return self._shelf.put_plain(item.key, item.value, item.expires, now, source)
        return self._shelf.put_entry(item.key, item.subkey, item.value, item.expires, now, source)
