"""Where this machine listens, as an operator types it. Multiaddrs are read by `swarmd.network.addresses`."""

from __future__ import annotations

import ipaddress

PORT_MAX = 65_535  # 16 bits


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
