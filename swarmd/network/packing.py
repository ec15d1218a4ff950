"""The MessagePack inside the DHT's messages: values, subkeys, dictionaries. Pure.

Only three forms are read, by hand and without recursion. hivemind's serializer recurses into nested
extensions, and 1.5 KB of them crashed the process. Raises only MessageError.
Source: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

from protocol import ANNOUNCEMENT_BYTES_MAX, SHARD_ENTRIES_MAX, STATUS_BYTES_MAX
from swarmd.network.malformed import Malformed, MessageError

SUBKEY_BYTES_MAX = 60
"""The 52 characters of a peer id and the first 8 bytes of a digest."""

ENTRY_BYTES_MAX = max(ANNOUNCEMENT_BYTES_MAX, STATUS_BYTES_MAX)

DICTIONARY_BYTES_MAX = SHARD_ENTRIES_MAX * (ENTRY_BYTES_MAX + 128)
"""A full shard of the largest entries, each with subkey, expiry and headers (85 bytes)."""

_HEADER_BYTES_MAX = 5  # bytes of a bin's header
# code, bytes of the length, exclusive upper bound of the length
_BIN_HEADERS = ((0xC4, 1, 2**8), (0xC5, 2, 2**16), (0xC6, 4, 2**32))
_EXTENSION_HEADERS = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENSIONS = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_FLOAT64 = 0xCB
_ARRAY_OF_THREE = 0x93
_DICTIONARY = 0x50  # the extension of hivemind.dht.storage.DictionaryDHTValue


@dataclass(frozen=True, slots=True)
class Item:
    """An unverified value on its way into or out of the DHT. `subkey` None: a plain value."""

    key: bytes
    subkey: bytes | None
    value: bytes
    expires: float


def read_bin(packed: bytes, bytes_max: int) -> bytes:
    """Return the contents of a MessagePack bin 8, 16 or 32 in its shortest form."""
    if len(packed) > bytes_max + _HEADER_BYTES_MAX:
        raise MessageError(Malformed.VALUE, f"{len(packed)} bytes where at most {bytes_max} are allowed")
    cursor = _Cursor(packed, Malformed.VALUE)
    value = cursor.bin(bytes_max)
    cursor.end()
    return value


def write_bin(value: bytes) -> bytes:
    """Encode `value` as a MessagePack bin in its shortest form."""
    for code, width, bound in _BIN_HEADERS:
        if len(value) < bound:
            return bytes([code]) + len(value).to_bytes(width, "big") + value
    raise ValueError(f"a value of {len(value)} bytes is too long for MessagePack")


def read_dictionary(key: bytes, packed: bytes) -> tuple[Item, ...]:
    """Return the entries of a dictionary: extension 0x50 of [size, latest expiry, [[subkey, value, expiry],
    ...]].

    The size and the latest expiry are not needed and not returned. Each value is itself a MessagePack bin
    inside the bin that carries it.
    """
    if len(packed) > DICTIONARY_BYTES_MAX:
        raise MessageError(Malformed.SIZE, f"a dictionary of {len(packed)} bytes")
    cursor = _Cursor(packed, Malformed.DICTIONARY)
    cursor.extension(_DICTIONARY)
    cursor.expect(_ARRAY_OF_THREE, "an array of three")
    cursor.float64()
    cursor.float64()
    items = []
    for _ in range(cursor.array(SHARD_ENTRIES_MAX)):
        cursor.expect(_ARRAY_OF_THREE, "an array of three")
        subkey = cursor.bin(SUBKEY_BYTES_MAX)
        value = read_bin(cursor.bin(ENTRY_BYTES_MAX + _HEADER_BYTES_MAX), ENTRY_BYTES_MAX)
        items.append(Item(key, subkey, value, cursor.finite()))
    cursor.end()
    return tuple(items)


class _Cursor:
    """Reads the few expected MessagePack forms in sequence."""

    def __init__(self, data: bytes, malformed: Malformed) -> None:
        self._data = data
        self._at = 0
        self._malformed = malformed

    def _refuse(self, detail: str) -> MessageError:
        return MessageError(self._malformed, f"{detail} at byte {self._at}")

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise self._refuse(f"truncated: {count} bytes expected")
        self._at += count
        return taken

    def _number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "big")

    def expect(self, code: int, what: str) -> None:
        if self._number(1) != code:
            raise self._refuse(f"not {what}")

    def end(self) -> None:
        if self._at != len(self._data):
            raise self._refuse("unexpected bytes")

    def bin(self, bytes_max: int) -> bytes:
        code = self._number(1)
        smallest = 0
        for header, width, bound in _BIN_HEADERS:
            if code == header:
                length = self._number(width)
                if not smallest <= length <= bytes_max:
                    raise self._refuse(f"a bin of {length} bytes, too long or not in its shortest form")
                return self._take(length)
            smallest = bound
        raise self._refuse("not a bin")

    def extension(self, kind: int) -> None:
        """Read the header of an extension that takes up all remaining bytes."""
        code = self._number(1)
        if code in _EXTENSION_HEADERS:
            length = self._number(_EXTENSION_HEADERS[code])
        elif code in _FIXED_EXTENSIONS:
            length = _FIXED_EXTENSIONS[code]
        else:
            raise self._refuse("not an extension")
        self.expect(kind, f"extension {kind}")
        if length != len(self._data) - self._at:
            raise self._refuse(f"an extension of {length} bytes")

    def array(self, length_max: int) -> int:
        code = self._number(1)
        if code & 0xF0 == 0x90:
            length = code & 0x0F
        elif code != 0xDC or (length := self._number(2)) < 16:
            raise self._refuse("not an array in its shortest form")
        if length > length_max:
            raise self._refuse(f"an array of {length}")
        return length

    def float64(self) -> float:
        self.expect(_FLOAT64, "a float64")
        number: float = struct.unpack(">d", self._take(8))[0]
        return number

    def finite(self) -> float:
        number = self.float64()
        if not math.isfinite(number):
            raise MessageError(Malformed.NUMBER, f"the number {number}")
        return number
