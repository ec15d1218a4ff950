"""Groups addresses that count as one party, because one owner can easily have them all. Pure.

A rented machine often has neighbours in its IPv4 /24, and a tunnel broker gives an IPv6 /48 to anyone who
asks. On loopback and in private IPv4 networks each address is a machine, so it is a group of its own. In an
IPv6 network a machine can take as many addresses as it wants.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

UNKNOWN = "unknown"
"""The group shared by all peers whose address is unknown or cannot be parsed."""

IPV4_BITS, IPV6_BITS = 24, 48
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1
GROUPS_KEPT = 4_096
"""Results cached, a few hundred bytes each: the same connections are looked up repeatedly."""


@lru_cache(maxsize=GROUPS_KEPT)
def group_of_ip(ip: bytes) -> str:
    """Return the group of an IP address of 4 or 16 bytes; UNKNOWN for any other length."""
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
    """Return the IPv4 address that this address embeds, if any.

    Without this, all IPv4 peers behind NAT64 would be one group, and each 6to4 peer would be a group of its
    own.
    """
    if address in NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour


@lru_cache(maxsize=GROUPS_KEPT)
def group_of_address(multiaddr: str | None) -> str:
    """Return the group of a multiaddr in text form. A DNS name is a group of its own.

    A relayed address belongs to the relay's group, because the address behind the relay has not been seen.
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
