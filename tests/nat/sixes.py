"""The street with IPv6 alone: each router has a network of its own for its home, and translates nothing."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import ClassVar

from tests.chaos.wires import run_command
from tests.nat.homes import Kind, Street

_RULES = """
table ip6 home {{
  chain through {{ type filter hook forward priority filter; policy {policy};
    ct state established,related accept; iifname home0 accept; meta l4proto ipv6-icmp accept; }}
}}
"""


@dataclass
class StreetOfSixes(Street):
    """No machine has an IPv4 address but 127.0.0.1. Each has a /48 of its own, and all of these are on one
    wire: a router answers when a neighbour asks for what is behind it (RFC 4389)."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network = field(
        default=ipaddress.ip_network("2a05:4500::/32")
    )
    VERSION: ClassVar[int] = 6
    HOME_PREFIX: ClassVar[int] = 64
    FORWARDING: ClassVar[tuple[str, ...]] = (
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv6.conf.eth0.proxy_ndp=1",
        "net.ipv6.neigh.eth0.proxy_delay=0",  # else a router waits up to 0.8 s before it answers for its home
    )

    def address(self, number: int) -> str:
        return str(self.network[(number + 1 << 80) + 10])

    def home_address(self, number: int) -> str:
        return str(self.network[(number + 1 << 80) + (1 << 64) + 2])

    def gateway(self, number: int) -> str:
        return str(self.network[(number + 1 << 80) + (1 << 64) + 1])

    def rules(self, number: int, kind: Kind) -> str:
        return _RULES.format(policy="accept" if kind is Kind.OPEN_6 else "drop")

    def _build(self, number: int, kind: Kind) -> None:
        super()._build(number, kind)
        router = self._router(number)
        run_command(*router, "ip", "neigh", "add", "proxy", self.home_address(number), "dev", "eth0")
