"""Public machines on one wire, and homes behind routers of several kinds, each in network namespaces.

Addresses look public, because p2pd and swarmd treat private ones differently; nothing leaves the namespaces.
Every machine has a /24 of its own, so each is a network of its own. Needs root, `ip` and `nft`.
"""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from tests.chaos.wires import Wires, are_possible, run_command


class Kind(StrEnum):
    """What a router does with connections (RFC 4787 for UDP, RFC 5382 for TCP)."""

    FULL_CONE = "full cone"
    """one outer port for an inner one, open to everybody, as with a forwarded port"""
    PORT_RESTRICTED = "port restricted"
    """one outer port for an inner one, open to whom the inside has spoken to"""
    SYMMETRIC = "symmetric"
    """another outer port for each connection"""

    OPEN_6 = "open IPv6"
    """no translation, and nothing is refused"""
    FIREWALL_6 = "IPv6 firewall"
    """no translation; only what the inside has spoken to comes in (RFC 6092)"""


_OUTGOING = {
    Kind.FULL_CONE: "oifname eth0 masquerade",
    Kind.PORT_RESTRICTED: "oifname eth0 masquerade",
    Kind.SYMMETRIC: "oifname eth0 masquerade fully-random",
}

_RULES = """
table ip home {{
  chain incoming {{ type nat hook prerouting priority dstnat; {forwarded}; }}
  chain outgoing {{ type nat hook postrouting priority srcnat; {outgoing}; }}
  chain through {{ type filter hook forward priority filter; policy {policy};
    ct state established,related accept; iifname home0 accept; }}
  chain router {{ type filter hook input priority filter; iifname eth0 drop; }}
}}
"""
"""A router answers nobody itself: an answer to a stray packet would end a hole that is being punched."""

_WITHOUT_UDP = """
table inet quiet {
  chain out { type filter hook output priority filter; meta l4proto udp drop; }
}
"""


def why_not_possible() -> str:
    """Why there can be no homes here; empty if there can."""
    missing = [name for name in ("ip", "nft", "nsenter") if shutil.which(name) is None]
    if missing:
        return f"needs {', '.join(missing)} (packages iproute2, nftables and util-linux)"
    return "" if are_possible() else "needs root, network namespaces and bridges"


@dataclass
class Street(Wires):
    """The first machines are public; behind each of the others stands a home with one machine."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network = field(
        default=ipaddress.ip_network("5.45.0.0/16")
    )
    kinds: Sequence[Kind] = ()
    """Of the routers, which are the last machines."""
    INNER_PORT: ClassVar[int] = 41_000
    VERSION: ClassVar[int] = 4
    HOME_PREFIX: ClassVar[int] = 24
    FORWARDING: ClassVar[tuple[str, ...]] = ("net.ipv4.ip_forward=1",)

    @property
    def public(self) -> int:
        """How many machines are public."""
        return self.count - len(self.kinds)

    def address(self, number: int) -> str:
        return str(self.network[256 * (number + 1) + 10])

    def home_address(self, number: int) -> str:
        """Of the machine behind router `number`."""
        return f"192.168.{number + 1}.2"

    def gateway(self, number: int) -> str:
        """Of router `number`, as its home knows it."""
        return f"192.168.{number + 1}.1"

    def rules(self, number: int, kind: Kind) -> str:
        """What router `number` lets through, in nft's language."""
        open_to_all = kind is Kind.FULL_CONE
        return _RULES.format(
            forwarded=f"iifname eth0 dnat to {self.home_address(number)}" if open_to_all else "",
            outgoing=_OUTGOING[kind],
            policy="accept" if open_to_all else "drop",
        )

    def home(self, number: int) -> str:
        """The namespace of the machine behind router `number`."""
        return f"{self.namespace(number)}h"

    def inside(self, number: int) -> tuple[str, ...]:
        """On the machine that runs a peer: a public one, or the one behind the router."""
        if number < self.public:
            return super().inside(number)
        return ("nsenter", f"--net=/var/run/netns/{self.home(number)}")

    def _router(self, number: int) -> tuple[str, ...]:
        return super().inside(number)

    @contextmanager
    def laid(self) -> Iterator[Street]:
        try:
            with super().laid():
                for number in range(self.public, self.count):
                    self._build(number, self.kinds[number - self.public])
                yield self
        finally:
            for number in range(self.public, self.count):
                subprocess.run(("ip", "netns", "del", self.home(number)), capture_output=True, check=False)

    def allow_out(self, number: int, port: int) -> None:
        """Let nothing out of this home but TCP to one port."""
        family = {4: "ip", 6: "ip6"}[self.VERSION]
        rule = ("nft", "insert", "rule", family, "home", "through", "iifname", "home0")
        for what in (("tcp", "dport", "!=", str(port)), ("meta", "l4proto", "udp")):
            run_command(*self._router(number), *rule, *what, "drop")

    def block_udp(self) -> None:
        """No machine sends a datagram any more."""
        for number in range(self.count):
            self._filter(self.inside(number), _WITHOUT_UDP)

    def unplug(self, number: int) -> None:
        """A public machine loses its wire: nobody is told, as in a power cut."""
        run_command(*self.inside(number), "ip", "link", "set", "eth0", "down")

    def _lay(self, number: int) -> None:
        # Homes do not exist yet while the wires are laid: `inside` must mean the router.
        name, outside = self.namespace(number), self._outside(number)
        router = self._router(number)
        run_command("ip", "netns", "add", name)
        self.on_bridge("ip", "link", "add", outside, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.on_bridge("ip", "link", "set", outside, "master", self.bridge, "up")
        self._place(router, self.address(number), self.network.prefixlen, "eth0")

    def _build(self, number: int, kind: Kind) -> None:
        router, home = self._router(number), self.home(number)
        run_command("ip", "netns", "add", home)
        run_command(
            *router, *("ip", "link", "add", "home0", "type", "veth", "peer", "name", "eth0", "netns", home)
        )
        self._place(router, self.gateway(number), self.HOME_PREFIX, "home0")
        run_command(*router, "sysctl", "-qw", *self.FORWARDING)
        inside = self.inside(number)
        self._place(inside, self.home_address(number), self.HOME_PREFIX, "eth0")
        run_command(*inside, "ip", "route", "add", "default", "via", self.gateway(number))
        self._filter(router, self.rules(number, kind))

    def _place(self, inside: Sequence[str], address: str, prefix: int, device: str) -> None:
        """Give a device its address, and set it up."""
        at_once = ("nodad",) if self.VERSION == 6 else ()  # no waiting for a neighbour who has it already
        run_command(*inside, "ip", "addr", "add", f"{address}/{prefix}", "dev", device, *at_once)
        for each in ("lo", device):
            run_command(*inside, "ip", "link", "set", each, "up")

    def _filter(self, inside: Sequence[str], rules: str) -> None:
        command = (*inside, "nft", "-f", "-")
        subprocess.run(command, input=rules, text=True, check=True, capture_output=True)
