"""Which addresses count as one party: whoever has one address of a group can have them all. Pure.

A rented machine often has neighbours in its IPv4 /24, and a tunnel broker gives an IPv6 /48 to everybody who
asks. On loopback and in private IPv4 networks an address is a machine, and counts alone. In any IPv6 network
a machine takes as many addresses as it likes.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

UNKNOWN = "unknown"
"""The one group of all peers whose address is not known or not understood."""

IPV4_BITS, IPV6_BITS = 24, 48
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
GROUPS_KEPT = 4_096
"""Answers that are remembered, a few hundred bytes each: connections are asked about again and again."""


@lru_cache(maxsize=GROUPS_KEPT)
def group_of_ip(ip: bytes) -> str:
    """The group of 4 or 16 bytes; UNKNOWN for anything else."""
    if len(ip) not in (4, 16):
        return UNKNOWN
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address):
        address = _inside(address) or address
    if address.is_loopback or (address.version == 4 and not address.is_global):
        return str(address)
    bits = IPV4_BITS if address.version == 4 else IPV6_BITS
    return str(ipaddress.ip_network((address, bits), strict=False))


def _inside(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that this one stands for.

    Behind NAT64 all IPv4 peers would be one group, and with 6to4 each of them would be a group of its own.
    """
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


@lru_cache(maxsize=GROUPS_KEPT)
def group_of_address(multiaddr: str | None) -> str:
    """The group of a multiaddr in text. A DNS name is a group of its own.

    A relayed address belongs to the relay's group: nobody has seen what is behind the relay.
    """
    parts = (multiaddr or "").split("/")
    if len(parts) < 3 or parts[0]:
        return UNKNOWN
    kind, host = parts[1], parts[2]
    if kind not in ("ip4", "ip6"):
        return f"{kind}:{host.lower()}" if kind.startswith("dns") and host else UNKNOWN
    try:
        return group_of_ip(ipaddress.ip_address(host).packed)
    except ValueError:
        return UNKNOWN
