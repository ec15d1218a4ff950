"""Doors: addresses at which peers that are away were reached before, probed until the peers are back.

A probe ("knock" in names) opens a TCP connection and exchanges the first line of libp2p's handshake.
It bypasses p2pd, which waits longer after every failed dial. A door is an address that the operator named, or
at which p2pd was connected to that very peer. Nobody can therefore direct probes at a third party.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass

from protocol import PeerId
from swarmd.addresses import PeerAddress
from swarmd.network.newest import put_newest

DOORS_MAX = 64
"""Peers whose doors are remembered. The daemon's database keeps more of them across restarts."""

KNOCK_S = 2.0
"""Seconds between two probes of one door, so the end of an outage is noticed within that time ..."""

PATIENCE_S = 900.0
"""... for this long. After that the peer is more likely gone than cut off, and KNOCK_S_LATER is enough."""

KNOCK_S_LATER = 30.0
KNOCKS_AT_ONCE = 16
"""Doors probed at once. In a large outage one answering door is enough, and the others get their turn."""

ANSWER_S = 1.8
"""Seconds for the connection and the line: less than KNOCK_S, more than a round trip with one lost packet."""

MULTISTREAM = b"\x13/multistream/1.0.0\n"
"""The first line that both sides of a libp2p connection send (multistream-select 1.0)."""


@dataclass
class _Door:
    address: PeerAddress
    away_since: float | None = None
    knock_at: float = 0.0


class Doors:
    """One door per peer. Pure: `now` is in seconds of any monotonic clock."""

    def __init__(self) -> None:
        self._doors: OrderedDict[PeerId, _Door] = OrderedDict()

    def remember(self, address: PeerAddress) -> None:
        """Remember `address`, which the operator named or where its peer was reached."""
        put_newest(self._doors, address.peer_id, _Door(address), DOORS_MAX)

    def __contains__(self, peer: object) -> bool:
        return peer in self._doors

    @property
    def peers(self) -> frozenset[PeerId]:
        return frozenset(self._doors)

    def addresses(self) -> list[PeerAddress]:
        return [door.address for door in self._doors.values()]

    def away(self, present: Container[PeerId]) -> list[PeerId]:
        """Return the peers with a door that are not `present`."""
        return [peer for peer in self._doors if peer not in present]

    def due(self, present: Container[PeerId], now: float) -> list[PeerAddress]:
        """Return the doors to probe now, of peers that are not `present`, longest wait first."""
        for peer, door in self._doors.items():
            if peer in present:
                door.away_since, door.knock_at = None, 0.0
        due = [self._doors[peer] for peer in self.away(present) if self._doors[peer].knock_at <= now]
        due.sort(key=lambda door: door.knock_at)
        for door in due[:KNOCKS_AT_ONCE]:
            door.away_since = now if door.away_since is None else door.away_since
            door.knock_at = now + (KNOCK_S if now - door.away_since < PATIENCE_S else KNOCK_S_LATER)
        return [door.address for door in due[:KNOCKS_AT_ONCE]]

    def wake(self) -> None:
        """Restart the fast pace for all doors, because this machine itself was suspended or offline."""
        for door in self._doors.values():
            door.away_since, door.knock_at = None, 0.0


async def opens(address: PeerAddress) -> bool:
    """Probe the address. True if a libp2p node answers, and also if it cannot be probed (QUIC)."""
    _, _, host, protocol, port, *_ = address.transport.split("/")
    return protocol != "tcp" or await opens_at(host, int(port))


async def opens_at(host: str, port: int) -> bool:
    """Return whether a libp2p node answers at this TCP port."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(MULTISTREAM)
            return await reader.readexactly(len(MULTISTREAM)) == MULTISTREAM
    except (OSError, EOFError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
