"""Unsigned varints (LEB128), as protobuf and multiaddrs write numbers. Pure."""

from __future__ import annotations


def write_varint(number: int) -> bytes:
    """`number` (0 or more), 7 bits per byte, lowest first; each byte but the last has its top bit set."""
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
