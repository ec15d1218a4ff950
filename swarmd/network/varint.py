"""Unsigned varints (LEB128), as protobuf and multiaddrs write numbers. Pure."""

from __future__ import annotations


def write_varint(number: int) -> bytes:
    """Encode `number` (0 or more) with 7 bits per byte, lowest first. The top bit is set in every byte but
    the last.
    """
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
