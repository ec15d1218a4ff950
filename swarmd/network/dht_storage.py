"""A `Shelf`'s things in the forms in which they travel between DHT nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.utils import MSGPackSerializer

from swarmd.network.packing import write_bin
from swarmd.network.shelf import Held

Clock = Callable[[], float]

IS_REGULAR_VALUE: bytes = DHTProtocol.IS_REGULAR_VALUE
"""The subkey of a plain value on the wire: MessagePack's nil."""


def packed_dictionary(entries: Mapping[bytes, Held]) -> bytes:
    """Entries by subkey, as hivemind's serializer writes a dictionary of them."""
    found = DictionaryDHTValue()
    with found.freeze():  # expiry was checked already, by our own clock
        for subkey, held in entries.items():
            found.store(subkey, write_bin(held.value), held.expires)
    packed: bytes = MSGPackSerializer.dumps(found)
    return packed
