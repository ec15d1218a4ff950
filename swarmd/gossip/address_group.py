"""Which addresses count as one: whoever has one of a group can have them all, so a group is one party."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

ELSEWHERE = "elsewhere"  # an address that is unknown or not understood: all such are one group
IPV4_BITS = 24  # what one customer of a hosting company gets without asking why
IPV6_BITS = 48  # a tunnel broker gives everybody who asks a /48


@lru_cache(maxsize=4_096)
def address_group(multiaddr: str | None) -> str:
    """The /24 of a public IPv4 address, the /48 of an IPv6 address, else the whole host.

    Of a relayed address it is the relay's: what is behind it nobody has seen.
    """
    parts = (multiaddr or "").split("/")
    if len(parts) < 3 or parts[0]:
        return ELSEWHERE
    kind, host = parts[1], parts[2]
    if kind not in ("ip4", "ip6"):
        return f"{kind}:{host.lower()}" if kind.startswith("dns") and host else ELSEWHERE
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ELSEWHERE
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.is_loopback:
            return str(address)
        else:
            return str(ipaddress.ip_network((int(address), IPV6_BITS), strict=False))
    if not address.is_global:
        return str(address)  # a private network's machines are few and its operator's own
    return str(ipaddress.ip_network((int(address), IPV4_BITS), strict=False))
