"""Decides which addresses to dial among those that strangers claim, and how often. Pure: `now` is an
argument.

A status is signed by its peer, but the addresses in it are only claims. Without bounds, anyone who joins
could make the whole swarm dial targets of their choice. Therefore:

- an address must be one that a peer can have: a public IP address or one on this peer's own network, with a
  port that is not reserved for other services;
- each peer gets few dials, each target few for all peers together, and strangers few per minute;
- an address that fails is retried after increasing delays.

Addresses that the operator names are dialled without these checks. Dials that p2pd makes on its own are not
bounded here (decision 16).
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from protocol import PeerId
from swarmd.addresses import PeerAddress
from swarmd.network.interface import Standing
from swarmd.network.newest import put_newest
from swarmd.network.rates import Buckets, Rate

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

AT_ONCE_MAX = 3
"""Addresses of one peer tried in one attempt: one of each IP family and a relayed one."""

PEER = Rate(12 / 3_600, 12)
"""Dials to one peer's addresses: twelve per hour."""

TARGET = Rate(12 / 3_600, 12)
"""Dials to one IP address for peers never met: twelve per hour, regardless of the port. Peers that were met
before do not count.
"""

NEVER_MET = Rate(12 / 60, 12)
"""Dials for peers never met: 12 per minute, enough for 4 new peers with all their addresses."""

NAMED = Rate(2.0, 256)
"""Dials at addresses that DHT nodes named: a newcomer reads nine keys of statuses and follows up to 24 names
for each; a peer of a swarm of ten thousand needs 34 a minute after that. For the rest, p2pd looks for an
address itself. PEER and TARGET count these dials apart: false names must not use up the dials at what a peer
itself states.
"""

BACK_OFF_S = 30.0
"""Seconds before an address that did not answer is dialled again; doubled after each failure ..."""

BACK_OFF_S_MAX = 3_600.0
"""... up to an hour."""

ADDRESSES_MAX = 4_096
"""Addresses whose failures are remembered (1 MB). The one that failed longest ago is dropped first."""

PRIVILEGED_PORTS = 1_024
"""Ports below this belong to other services (RFC 6335)."""

PORT_OF_FIREWALLS = 443
"""The port of peers behind strict firewalls. It is dialled only for a peer that was met before; until then,
such a peer can dial us.
"""

_NETWORK_BITS = {4: 24, 6: 64}
_PRIVATE = tuple(
    map(
        ipaddress.ip_network,
        # RFC 1918, carrier-grade NAT (RFC 6598), RFC 4193
        ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
    )
)


class Refused(StrEnum):
    """Why an address was not dialled."""

    NAME = "name"
    """a DNS name; only the operator's are resolved"""
    RANGE = "range"
    """not an address that a peer can have, neither public nor on this network"""
    PORT = "port"
    """a privileged port"""
    BACK_OFF = "back_off"
    """it did not answer recently"""
    OFTEN = "often"
    """the dials of the peer, the target or all peers never met are used up"""


@dataclass(frozen=True)
class Choice:
    """The addresses to dial, and the reasons why the others are not dialled."""

    dial: tuple[PeerAddress, ...]
    refused: tuple[Refused, ...]


@dataclass
class _Failure:
    times: int
    until: float


class Dialling:
    """Chooses addresses, and remembers dials and failures."""

    def __init__(self) -> None:
        self._dials = Buckets()
        self._failures: OrderedDict[str, _Failure] = OrderedDict()

    def choose(
        self,
        addresses: Iterable[PeerAddress],
        *,
        own: Sequence[str],
        standing: Standing,
        now: float,
        relays: Container[PeerId] = (),
    ) -> Choice:
        """Return which of one peer's addresses to dial. `own`: this peer's own multiaddrs.

        `relays`: peers that this one is connected to. An address through one of them opens no connection to
        anyone else, so its IP address and port are not checked.
        """
        dial: list[PeerAddress] = []
        refused: list[Refused] = []
        for address in dict.fromkeys(addresses):
            near = relay_of(address) in relays
            why = self._why_not(address, own, standing, now, chosen=len(dial), near=near)
            if why is None:
                dial.append(address)
            else:
                refused.append(why)
        return Choice(tuple(dial), tuple(refused))

    def may_dial_named(self, address: PeerAddress, *, own: Sequence[str], now: float) -> bool:
        """Whether to dial an address that a DHT node named together with a peer. How well this peer knows the
        other does not matter, because the other did not state it.
        """
        why = self._why_not(address, own, Standing.STRANGER, now, chosen=0, near=False, strangers=NAMED)
        return why is None

    def failed(self, address: PeerAddress, now: float) -> None:
        """Nobody answered at this address, or a different peer did."""
        failure = self._failures.pop(address.text, None) or _Failure(0, now)
        failure.until = now + min(BACK_OFF_S * 2.0 ** min(failure.times, 16), BACK_OFF_S_MAX)
        failure.times += 1
        put_newest(self._failures, address.text, failure, ADDRESSES_MAX)

    def answered(self, address: PeerAddress) -> None:
        self._failures.pop(address.text, None)

    def _why_not(
        self,
        address: PeerAddress,
        own: Sequence[str],
        standing: Standing,
        now: float,
        *,
        chosen: int,
        near: bool,
        strangers: Rate = NEVER_MET,
    ) -> Refused | None:
        target = _target_of(address.transport)
        if target is None:
            return Refused.NAME
        ip, port = target
        if not near and not is_reachable(ip, own):
            return Refused.RANGE
        if not near and port < PRIVILEGED_PORTS and (port != PORT_OF_FIREWALLS or standing < Standing.MET):
            return Refused.PORT
        failure = self._failures.get(address.text)
        if failure is not None and now < failure.until:
            return Refused.BACK_OFF
        if chosen >= AT_ONCE_MAX or not self._may_dial(address.peer_id, ip, standing, now, strangers):
            return Refused.OFTEN
        return None

    def _may_dial(self, peer: PeerId, ip: Address, standing: Standing, now: float, strangers: Rate) -> bool:
        if not self._dials.take((strangers, peer), PEER, 1.0, now):
            return False
        if standing >= Standing.MET:
            return True
        return self._dials.take((strangers, ip), TARGET, 1.0, now) and self._dials.take(
            strangers, strangers, 1.0, now
        )


def relay_of(address: PeerAddress) -> PeerId | None:
    """Return the relay that the address leads through, or None."""
    before, _, _ = address.transport.partition("/p2p-circuit")
    return PeerId(before.rpartition("/p2p/")[2]) if before != address.transport else None


def is_reachable(ip: Address, own: Sequence[str]) -> bool:
    """Return whether a peer could be at `ip`, seen from a peer whose own addresses are `own`.

    Loopback counts only if this peer has no other address, and a private address only on this peer's own
    network. Addresses that are neither public nor one of these (multicast, reserved, documentation,
    link-local, unspecified) never count.
    """
    if ip.version == 6 and (ip.ipv4_mapped is not None or ip.sixtofour is not None or ip.teredo is not None):
        return False  # these embed an IPv4 address and would bypass its rules
    if ip.is_multicast or ip.is_link_local or ip.is_unspecified or ip.is_reserved:
        return False
    if ip.is_global:
        return True
    mine = [target[0] for address in own if (target := _target_of(address)) is not None]
    if ip.is_loopback:
        return bool(mine) and all(address.is_loopback for address in mine)
    if not any(ip.version == network.version and ip in network for network in _PRIVATE):
        return False
    network = ipaddress.ip_network((ip, _NETWORK_BITS[ip.version]), strict=False)
    return any(address.version == ip.version and address in network for address in mine)


def _target_of(address: str) -> tuple[Address, int] | None:
    """Return IP address and port of a multiaddr that `addresses.py` accepted; None for a DNS name."""
    _, family, host, _, port, *_ = address.split("/")
    if family not in ("ip4", "ip6"):
        return None
    return ipaddress.ip_address(host), int(port)
