"""The contents of a `Shelf` in the formats that DHT nodes exchange."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.proto import dht_pb2
from hivemind.utils import MSGPackSerializer

from swarmd.network.packing import write_bin
from swarmd.network.shelf import Held

Clock = Callable[[], float]

IS_REGULAR_VALUE: bytes = DHTProtocol.IS_REGULAR_VALUE
"""The subkey of a plain value on the wire: MessagePack's nil."""


def _packed(entries: Mapping[bytes, Held]) -> bytes:
    """Serialize entries by subkey the way hivemind serializes a dictionary."""
    found = DictionaryDHTValue()
    with found.freeze():  # our own clock has already checked the expiry
        for subkey, held in entries.items():
            found.store(subkey, write_bin(held.value), held.expires)
    packed: bytes = MSGPackSerializer.dumps(found)
    return packed


def with_entries(result: dht_pb2.FindResult, entries: Mapping[bytes, Held]) -> dht_pb2.FindResult:
    """Put entries into a result, if there are any, and return it."""
    if entries:
        result.type = dht_pb2.FOUND_DICTIONARY
        result.value = _packed(entries)
        result.expiration_time = max(held.expires for held in entries.values())
    return result
