"""Our rules, our shelf and our decoding in the shapes that hivemind's `DHTNode` expects of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hivemind.dht.crypto import DHTRecord, RecordValidatorBase
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.routing import DHTID
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.utils import MSGPackSerializer
from hivemind.utils.timed_storage import ValueWithExpiration

from protocol import RECORD_BYTES_MAX
from swarmd.network.malformed import MessageError
from swarmd.network.packing import SUBKEY_BYTES_MAX, read_bin, write_bin
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Held, Shelf

Clock = Callable[[], float]

IS_REGULAR_VALUE: bytes = DHTProtocol.IS_REGULAR_VALUE
"""The subkey of a plain value on the wire: MessagePack's nil."""


class BinSerializer(MSGPackSerializer):  # type: ignore[misc]  # hivemind is untyped
    """Writes as hivemind's does. Reads only bytes, so that nothing external is decoded further."""

    @classmethod
    def loads(cls, buf: bytes) -> bytes:
        """Raises MessageError for everything but a bin."""
        return read_bin(buf, RECORD_BYTES_MAX)


class RulesValidator(RecordValidatorBase):  # type: ignore[misc]  # hivemind is untyped
    """`StorageRules` as hivemind calls them when this node is one of its own replicas."""

    def __init__(self, rules: StorageRules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    def validate(self, record: DHTRecord) -> bool:
        try:
            value = read_bin(record.value, RECORD_BYTES_MAX)
            subkey = None if record.subkey == IS_REGULAR_VALUE else read_bin(record.subkey, SUBKEY_BYTES_MAX)
        except MessageError:
            return False
        return self._rules.accept(record.key, subkey, value, record.expiration_time, self._clock())


class ShelfStorage:
    """A `Shelf` in the shape of hivemind's `DHTLocalStorage`, for what this peer stores and reads itself."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    def store(self, key: DHTID, value: bytes, expiration_time: float, subkey: bytes | None = None) -> bool:
        """`value` in MessagePack, as hivemind hands it over."""
        name, plain, now = key.to_bytes(), read_bin(value, RECORD_BYTES_MAX), self._clock()
        if subkey is None:
            return self._shelf.put_plain(name, plain, expiration_time, now)
        return self._shelf.put_entry(name, subkey, plain, expiration_time, now)

    def get(self, key: DHTID) -> ValueWithExpiration | None:
        now, name = self._clock(), key.to_bytes()
        plain = self._shelf.plain(name, now)
        if plain is not None:
            return ValueWithExpiration(write_bin(plain.value), plain.expires)
        entries = self._shelf.entries(name, now)
        return dictionary(entries) if entries else None

    def items(self) -> Iterator[Any]:
        """Nothing: `SwarmDHT` hands values to newcomers itself."""
        return iter(())

    def __contains__(self, key: DHTID) -> bool:
        return self.get(key) is not None


def dictionary(entries: Any) -> ValueWithExpiration:
    """Entries by subkey (`Held`, unpacked) as hivemind holds them: until the last of them expires."""
    found = DictionaryDHTValue()
    with found.freeze():  # expiry was checked already, by our own clock
        for subkey, held in entries.items():
            found.store(subkey, write_bin(held.value), held.expires)
    return ValueWithExpiration(found, found.latest_expiration_time)


__all__ = ["BinSerializer", "Clock", "Held", "RulesValidator", "ShelfStorage", "dictionary"]
