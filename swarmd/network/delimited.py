"""Messages with their length in front, as p2pd sends and takes them: a protobuf varint, then bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from swarmd.network.varint import write_varint

LENGTH_BYTES_MAX = 4
"""Bytes of a length: up to 256 MiB, far above any bound."""


def delimited(message: Any) -> bytes:
    """A protobuf message with its length in front."""
    data: bytes = message.SerializeToString()
    return write_varint(len(data)) + data


def read_length(head: bytes | bytearray, bytes_max: int) -> tuple[int, int] | None:
    """The length of the message that `head` begins, and how many bytes state it; None while it is not known.

    Raises OSError for more than `bytes_max`: nothing behind such a message can be found.
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
    """Read one message. Raises EOFError, and OSError for one of more than `bytes_max`."""
    head = b""
    while (found := read_length(head, bytes_max)) is None:
        head += await reader.readexactly(1)
    return await reader.readexactly(found[0])


class Splitter:
    """Takes bytes as they come and yields whole messages of at most `bytes_max`."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take `data` and yield the messages that are whole now. Raises OSError for one that is too long."""
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
