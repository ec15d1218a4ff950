"""Length-prefixed messages, as p2pd sends and accepts them: a protobuf varint, then the bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from swarmd.network.varint import write_varint

LENGTH_BYTES_MAX = 4
"""Bytes of a length: up to 256 MiB, far above any bound."""


def delimited(message: Any) -> bytes:
    """Serialize a protobuf message with its length in front."""
    data: bytes = message.SerializeToString()
    return write_varint(len(data)) + data


def read_length(head: bytes | bytearray, bytes_max: int) -> tuple[int, int] | None:
    """Return the length of the message that starts with `head`, and the bytes that the length takes.

    None if `head` is too short to tell. Raises OSError for more than `bytes_max`, because the start of the
    next message cannot be found.
    """
    length = 0
    for index, byte in enumerate(head[:LENGTH_BYTES_MAX]):
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            break
    else:
        if len(head) < LENGTH_BYTES_MAX:
            return None
        length = bytes_max + 1
    if length > bytes_max:
        raise OSError(f"p2pd sent a message of more than {bytes_max} bytes")
    return length, index + 1


async def read_delimited(reader: asyncio.StreamReader, bytes_max: int) -> bytes:
    """Read one message. Raises EOFError, and OSError if it exceeds `bytes_max`."""
    head = b""
    while (found := read_length(head, bytes_max)) is None:
        head += await reader.readexactly(1)
    return await reader.readexactly(found[0])


class Splitter:
    """Splits incoming bytes into whole messages of at most `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add `data` and yield the messages that are now complete. Raises OSError if one is too long."""
        self._held += data
        start = 0
        while found := read_length(self._held[start : start + LENGTH_BYTES_MAX], self._bytes_max):
            length, taken = found
            begin = start + taken
            if len(self._held) < begin + length:
                break
            yield bytes(self._held[begin : begin + length])
            start = begin + length
        del self._held[:start]
