"""Binary multiaddrs, as p2pd reports them for connections that anyone can have opened. Pure.

hivemind's parser raises many kinds of errors, in tasks that nobody awaits. This one raises only MessageError.
Source: https://github.com/multiformats/multicodec/blob/master/table.csv
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from protocol import PeerId
from swarmd.addresses import ADDRESSES_KEPT
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.peer_ids import read_peer_id, write_peer_id
from swarmd.network.varint import write_varint

BYTES_MAX = 1_024
"""A relayed address with two peer ids takes 100 bytes, one with certificate hashes 200."""

_IPS = {4: ("ip4", 4), 41: ("ip6", 16)}
_PORTS = {6: "tcp", 273: "udp"}
_BARE = {
    290: "p2p-circuit",
    448: "tls",
    454: "noise",
    460: "quic",
    461: "quic-v1",
    465: "webtransport",
    477: "ws",
    478: "wss",
}
_NAMES = {53: "dns", 54: "dns4", 55: "dns6", 56: "dnsaddr"}
_PEER = 421
_NAME = re.compile(rb"[A-Za-z0-9.-]{1,253}")
_OPAQUE = 466  # certhash: omitted from the text
_CODES = {
    **{name: code for code, (name, _) in _IPS.items()},
    **{name: code for code, name in (_PORTS | _BARE | _NAMES).items()},
    "p2p": _PEER,
}


def ip_of(address: bytes) -> bytes:
    """Return the 4 or 16 bytes of the IP address at the start of a binary multiaddr, or b""."""
    for code, (_, width) in _IPS.items():
        if address[:1] == bytes([code]) and len(address) > width:
            return address[1 : 1 + width]
    return b""


@lru_cache(maxsize=ADDRESSES_KEPT)
def read_address(address: bytes) -> str:
    """Convert a binary multiaddr to text. Raises MessageError."""
    if len(address) > BYTES_MAX:
        raise MessageError(Malformed.ADDRESS, f"a multiaddr of {len(address)} bytes")
    reader, text = _Reader(address), ""
    while reader.left:
        text += _component(reader)
    return text


def _component(reader: _Reader) -> str:
    code = reader.varint()
    if code in _IPS:
        name, width = _IPS[code]
        return f"/{name}/{ipaddress.ip_address(reader.take(width))}"
    if code in _PORTS:
        return f"/{_PORTS[code]}/{int.from_bytes(reader.take(2), 'big')}"
    if code in _BARE:
        return f"/{_BARE[code]}"
    value = reader.take(reader.varint())
    if code == _OPAQUE:
        return ""
    if code == _PEER:
        return f"/p2p/{read_peer_id(value)}"
    if (
        code in _NAMES
        and value.isascii()
        and (name := value.decode()).replace("-", "").replace(".", "").isalnum()
    ):
        return f"/{_NAMES[code]}/{name}"
    raise MessageError(Malformed.ADDRESS, f"a multiaddr with unknown component {code}")


def write_address(text: str) -> bytes:
    """Return the binary form of a multiaddr that `addresses.py` has accepted."""
    parts, binary = iter(text.strip("/").split("/")), b""
    for name in parts:
        code = _CODES[name]
        binary += write_varint(code)
        if code in _IPS:
            binary += ipaddress.ip_address(next(parts)).packed
        elif code in _PORTS:
            binary += int(next(parts)).to_bytes(2, "big")
        elif code == _PEER:
            binary += _sized(write_peer_id(PeerId(next(parts))))
        elif code in _NAMES:
            binary += _sized(next(parts).encode())
    return binary


def _sized(value: bytes) -> bytes:
    return write_varint(len(value)) + value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise MessageError(Malformed.ADDRESS, "a truncated multiaddr")
        self._at += count
        return self._data[self._at - count : self._at]

    def varint(self) -> int:
        """Read a number of at most three bytes; no code or length in use is longer."""
        number = 0
        for shift in (0, 7, 14):
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise MessageError(Malformed.ADDRESS, "a multiaddr with a number of more than three bytes")
