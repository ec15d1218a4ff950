"""Messages with their length in front, as p2pd sends and takes them: a protobuf varint, then bytes. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LENGTH_BYTES_MAX = 4
"""Of a length: 256 MiB, far above any bound."""


def delimited(message: Any) -> bytes:
    """A protobuf message with its length in front."""
    data: bytes = message.SerializeToString()
    length, header = len(data), bytearray()
    while length >= 0x80:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return bytes(header) + data


class Splitter:
    """Takes bytes as they come, gives out whole messages of at most `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What is whole by now. Raises OSError for a longer one: nothing behind it can be found."""
        self._held += data
        start = 0
        while (head := self._head(start)) is not None:
            begin, length = head
            if length > self._bytes_max:
                raise OSError(f"p2pd sent a message of more than {self._bytes_max} bytes")
            if len(self._held) < begin + length:
                break
            yield bytes(self._held[begin : begin + length])
            start = begin + length
        del self._held[:start]

    def _head(self, start: int) -> tuple[int, int] | None:
        """Where the message at `start` begins and how long it is; None while that is not known."""
        length = 0
        for number, byte in enumerate(self._held[start : start + LENGTH_BYTES_MAX]):
            length |= (byte & 0x7F) << 7 * number
            if byte < 0x80:
                return start + number + 1, length
        if len(self._held) - start >= LENGTH_BYTES_MAX:
            raise OSError(f"p2pd sent a message of more than {self._bytes_max} bytes")
        return None
