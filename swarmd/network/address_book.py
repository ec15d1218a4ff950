"""Where peers can be dialled: what they state themselves, and what other nodes name with them. Pure.

If p2pd does not know the address of a peer, it looks the peer up in a DHT of its own, which in a swarm of
thousands costs more than everything else (docs/decisions/0050-addresses-in-answers.md). So a node tells the
addresses of the peers that it names, and whoever follows a name dials there.

An address can be false. A node tells one only if it is connected to the peer there, and the peer either
states it or was dialled at it. A named address is dialled only within the bounds of `dialling.py`, and is
charged to the node that named it until the peer is reached. If nobody answers there, p2pd looks the peer up
as before.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from protocol import PeerId
from swarmd.addresses import PeerAddress, is_public, is_relayed, parse_peer_address
from swarmd.errors import ConfigError
from swarmd.network.binary_addresses import read_address, write_address
from swarmd.network.dialling import Dialling
from swarmd.network.malformed import MessageError
from swarmd.network.newest import put_newest
from swarmd.network.rates import Buckets, Rate

PEERS_MAX = 4_096
"""Peers in each table, about 200 bytes each: a routing table has a few hundred, an hour in a swarm of ten
thousand meets two thousand.
"""

NAMERS_MAX = 4
"""Addresses remembered for one peer, from as many nodes. p2pd dials all at once, and one right one suffices.
"""

CREDIT = Rate(1 / 600, 4.0)
"""Addresses from one node that are tried before the first has led to its peer: four, and one more every ten
minutes. A walk that stores follows five names at once, mostly of the same two or three nodes. A false one can
keep p2pd from reaching the peer for five seconds. If the peer turns out to be connected elsewhere, or not any
more, the node is charged after all.
"""

CREDIT_OF_RELIED_ON = Rate(1 / 60, 8.0)
"""The same of nodes that delivered something: all that one answer about a key names. They are asked about
every key that is read.
"""

NODES_MAX = 4_096
"""Nodes whose credit is remembered. Whoever is forgotten has full credit again."""

_DIRECT = re.compile(r"/ip[46]/[^/]+/(tcp/\d+|udp/\d+/quic-v1)")


class AddressBook:
    """The addresses known to one peer. Multiaddrs are without /p2p/; those of messages are binary."""

    def __init__(self, relies_on: Callable[[PeerId], bool], monotonic: Callable[[], float]) -> None:
        """`relies_on`: whether a peer has done something for this one that costs more than an identity."""
        self._relies_on = relies_on
        self.dialling = Dialling()
        """Bounds all dials at addresses that strangers claim."""
        self._now = monotonic
        self._own: tuple[str, ...] = ()
        self._is_closed = False
        self._connections: dict[PeerId, str] = {}
        self._claimed: OrderedDict[PeerId, frozenset[str]] = OrderedDict()
        """What a peer states, and where it was dialled."""
        self._proven: OrderedDict[PeerId, str] = OrderedDict()
        self._named: OrderedDict[PeerId, dict[PeerId, bytes]] = OrderedDict()
        """Peer -> node that named it -> address, not decoded until the peer is dialled."""
        self._credit = Buckets(NODES_MAX)
        self._charged: OrderedDict[PeerId, dict[PeerId, str]] = OrderedDict()
        """Peers being dialled at named addresses: node -> the address that it named."""
        self._refunded: OrderedDict[PeerId, dict[PeerId, str]] = OrderedDict()
        """The same of peers that were reached, it is not known yet where."""

    # What is told to other nodes ---------------------------------------------------------------------

    @property
    def own(self) -> bytes:
        """The address at which this peer says that it can be dialled: b"" if it knows none."""
        open_at = (address for address in self._own if not (self._is_closed and is_public(address)))
        return next(filter(None, map(_binary, open_at)), b"")

    def address_of(self, peer: PeerId) -> bytes:
        """Return the address to name with a peer, or b"" if none is known for certain."""
        return _binary(self._proven.get(peer, ""))

    # What is learned ---------------------------------------------------------------------------------

    def located(
        self, connections: Mapping[PeerId, str], own: Sequence[str], *, is_closed: bool = False
    ) -> None:
        """Update the connected peers, each with the multiaddr of the other end, and this peer's own
        multiaddrs, best first. `is_closed`: its public ones are those of a router that lets nobody in.
        """
        self._connections, self._is_closed = dict(connections), is_closed
        self._own = tuple(address.rpartition("/p2p/")[0] for address in own if not is_relayed(address))
        for peer, address in connections.items():
            self._prove(peer, address)
        for peer, addresses in self._refunded.items():
            for namer, named in addresses.items():
                if named != connections.get(peer):
                    self._charge(namer, 1.0)
        self._refunded.clear()

    def restarted(self) -> None:
        """p2pd is a new one, and not connected to anybody."""
        self._connections = {}

    def stated(self, peer: PeerId, address: bytes) -> None:
        """The peer itself says that it can be dialled at `address`, if anywhere."""
        direct = _direct(address, peer)
        if direct is None:
            return
        put_newest(self._claimed, peer, frozenset([direct.transport]), PEERS_MAX)
        if at := self._connections.get(peer):
            self._prove(peer, at)

    def _prove(self, peer: PeerId, address: str) -> None:
        """The peer is connected at `address`, and not where it was before."""
        if address in self._claimed.get(peer, ()):
            put_newest(self._proven, peer, address, PEERS_MAX)
        elif self._proven.get(peer) != address:
            self._proven.pop(peer, None)

    def named(self, peer: PeerId, address: bytes, namer: PeerId) -> None:
        """A node named `address` together with a peer."""
        if not address or peer in self._connections or peer in self._proven:
            return
        by_namer = self._named.get(peer, {})
        if (namer in by_namer or len(by_namer) < NAMERS_MAX) and self._has_credit(namer):
            put_newest(self._named, peer, by_namer | {namer: address}, PEERS_MAX)

    def is_connected(self, peer: PeerId) -> bool:
        """Whether the peer was connected when connections were last listed, or was reached since."""
        return peer in self._connections

    # Dialling ----------------------------------------------------------------------------------------

    def to_dial(self, peer: PeerId) -> tuple[PeerAddress, ...]:
        """Return where to dial a peer before it is asked something: nowhere if it is connected, or if p2pd
        has to find it.

        Say `reached` or `missed` afterwards.
        """
        if peer in self._connections:
            return ()
        if peer in self._proven:
            return (PeerAddress(f"{self._proven[peer]}/p2p/{peer}", peer),)
        by_address: dict[bytes, list[PeerId]] = {}
        for namer, address in self._named.pop(peer, {}).items():
            if self._has_credit(namer):
                by_address.setdefault(address, []).append(namer)
        dialled: list[PeerAddress] = []
        charged: dict[PeerId, str] = {}
        for address, namers in by_address.items():
            direct = _direct(address, peer)
            if direct is not None and self.dialling.may_dial_named(direct, own=self._own, now=self._now()):
                dialled.append(direct)
                charged |= dict.fromkeys(namers, direct.transport)
        for namer in charged:
            self._charge(namer, 1.0)
        if charged:
            put_newest(self._charged, peer, self._charged.get(peer, {}) | charged, PEERS_MAX)
        return tuple(dialled)

    def reached(self, peer: PeerId, addresses: Sequence[PeerAddress]) -> None:
        """The peer is connected after it was dialled at these addresses, whether there or elsewhere."""
        self._connections.setdefault(peer, "")
        put_newest(self._claimed, peer, frozenset(address.transport for address in addresses), PEERS_MAX)
        charged = self._charged.pop(peer, {})
        for namer in charged:
            self._charge(namer, -1.0)
        if charged:
            put_newest(self._refunded, peer, charged, PEERS_MAX)

    def missed(self, peer: PeerId, addresses: Sequence[PeerAddress]) -> None:
        """The peer was not reached at these addresses."""
        self._proven.pop(peer, None)
        self._charged.pop(peer, None)
        for address in addresses:
            self.dialling.failed(address, self._now())

    def _has_credit(self, namer: PeerId) -> bool:
        had = self._credit.take(namer, self._rate(namer), 1.0, self._now())
        if had:
            self._charge(namer, -1.0)
        return had

    def _charge(self, namer: PeerId, addresses: float) -> None:
        self._credit.charge(namer, self._rate(namer), addresses, self._now())

    def _rate(self, namer: PeerId) -> Rate:
        return CREDIT_OF_RELIED_ON if self._relies_on(namer) else CREDIT


def _direct(address: bytes, peer: PeerId) -> PeerAddress | None:
    """Return an IP address with a TCP or QUIC port; None for anything else."""
    try:
        parsed = parse_peer_address(f"{read_address(address)}/p2p/{peer}") if address else None
    except (MessageError, ConfigError):
        return None
    return parsed if parsed is not None and _DIRECT.fullmatch(parsed.transport) else None


@lru_cache(PEERS_MAX)
def _binary(transport: str) -> bytes:
    return write_address(transport) if _DIRECT.fullmatch(transport) else b""
