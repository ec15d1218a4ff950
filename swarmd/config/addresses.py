"""Reads the addresses an operator types, and says what is wrong with one before anything is dialled.

Multiaddr: https://github.com/multiformats/multiaddr, the part of it that p2pd can dial. Not a general
parser: the transport's own one has the last word.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping

EXAMPLE = "/ip4/10.0.0.7/tcp/41000/p2p/12D3KooW..."
PORT_MAX = 65_535  # 16 bits

_DNS_NAME = re.compile(r"[A-Za-z0-9_.-]{1,253}")  # RFC 1035 section 2.3.4: 255 octets with length and root
_PEER_ID = re.compile(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}")  # base58btc of an Ed25519 key: libp2p peer id spec
_FLAGS = frozenset({"quic", "quic-v1", "ws", "wss", "p2p-circuit"})  # components that take no value


def check_multiaddr(text: str, *, with_peer_id: bool) -> str:
    """`text` as given, if it is a multiaddr that can be dialled. Raises ValueError naming the wrong part."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a multiaddr: it must start with '/', like {EXAMPLE}")
    parts = iter(text.removesuffix("/").split("/")[1:])
    names: list[str] = []
    for name in parts:
        names.append(name)
        if name in _FLAGS:
            continue
        value = next(parts, None)
        if value is None:
            raise ValueError(
                f"{text!r} is not a multiaddr: /{name} has no value after it; expected {EXAMPLE}"
            )
        _check_component(text, name, value)
    if "tcp" not in names and "udp" not in names and "p2p-circuit" not in names:
        raise ValueError(f"{text!r} names no port: add /tcp/PORT; expected {EXAMPLE}")
    if with_peer_id and names[-1] != "p2p":
        raise ValueError(f"{text!r} names no peer: it must end in /p2p/PEER_ID; expected {EXAMPLE}")
    return text


def _check_component(text: str, name: str, value: str) -> None:
    """One /name/value pair of the multiaddr `text`. Raises ValueError."""
    check = _CHECKS.get(name)
    if check is None:
        raise ValueError(f"{text!r} is not a multiaddr: /{name} is not a part that can be dialled")
    try:
        check(value)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a multiaddr: {error}; expected {EXAMPLE}") from error


def _check_name(value: str) -> None:
    if not _DNS_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a host name")


def _check_peer_id(value: str) -> None:
    if not _PEER_ID.fullmatch(value):
        raise ValueError(f"{value!r} is not an Ed25519 peer id (52 characters, 12D3KooW...)")


def check_ip(text: str) -> str:
    """`text` as given, if it is an IPv4 or IPv6 address. Raises ValueError."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address: use 0.0.0.0, 127.0.0.1 or one of this machine"
        ) from None
    return text


def parse_port(text: str) -> int:
    """A TCP or UDP port, 0..65535. Raises ValueError."""
    if not text.isascii() or not text.isdigit() or int(text) > PORT_MAX:
        raise ValueError(f"{text!r} is not a port: a number from 0 to {PORT_MAX}")
    return int(text)


def parse_http(text: str) -> tuple[str, int]:
    """(host, port) of HOST:PORT, [IPV6]:PORT or PORT alone, which means loopback. Raises ValueError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        return host or "127.0.0.1", parse_port(port)
    except ValueError as error:
        raise ValueError(f"{text!r} is not HOST:PORT: {error}; expected 127.0.0.1:8080") from error


_CHECKS: Mapping[str, Callable[[str], object]] = {
    "ip4": ipaddress.IPv4Address,
    "ip6": ipaddress.IPv6Address,
    "dns": _check_name,
    "dns4": _check_name,
    "dns6": _check_name,
    "dnsaddr": _check_name,
    "tcp": parse_port,
    "udp": parse_port,
    "p2p": _check_peer_id,
}
