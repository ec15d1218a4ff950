"""Which peers count as one party because of where they are. Pure.

Whoever has one address has all of its names; whoever rents a machine has a /64 of IPv6, and often neighbours
in its /24 of IPv4. On loopback and in private networks an address is a machine, and counts alone.
"""

from __future__ import annotations

import ipaddress

UNKNOWN = "unknown"
"""The one group of all whose address is not known yet."""

_IPv4_BITS, _IPv6_BITS = 24, 64


def group_of_ip(ip: bytes) -> str:
    """The group of 4 or 16 bytes; UNKNOWN for anything else."""
    if len(ip) not in (4, 16):
        return UNKNOWN
    address = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_private or address.is_loopback or address.is_link_local:
        return str(address)
    bits = _IPv4_BITS if address.version == 4 else _IPv6_BITS
    return str(ipaddress.ip_network((address, bits), strict=False))


def group_of_address(address: str) -> str:
    """The group of a multiaddr in text; of a relayed one the relay's, of a DNS name the name itself."""
    parts = address.split("/")
    if len(parts) < 3:
        return UNKNOWN
    if parts[1] not in ("ip4", "ip6"):
        return parts[2]
    try:
        return group_of_ip(ipaddress.ip_address(parts[2]).packed)
    except ValueError:
        return UNKNOWN
