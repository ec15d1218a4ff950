"""Decides which connections to close because neither end uses them. Pure.

In a swarm of thousands, most connections carry one body, or one question about a key, and then nothing for
many minutes. Each costs both ends the muxer's pings. p2pd keeps hundreds of them, and chooses blindly among
them once there are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Mapping

from protocol import PeerId
from swarmd.addresses import is_relayed
from swarmd.network.hearing import Hearing
from swarmd.network.newest import put_newest

CONNECTIONS_KEPT = 96
"""Connections that are kept even if they are idle. A swarm of as many peers stays fully connected."""

CONNECTIONS_KEPT_MANY = 36
"""The same where a connection is rarely used again, which is where MET_MANY peers were connected in MET_S. A
peer makes and answers 2.5 calls a second, so in a swarm of n peers a connection is used every n/2.5 seconds.
Keeping it for 120 s costs as much as opening it: with 480 peers and more it is better opened again.
"""

MET_MANY = 480
MET_S = 600.0
"""Different peers that were connected in so many seconds in a large swarm."""

USED_S = 15.0
"""Seconds for which a connection counts as in use after a request began or ended: longer than any stream
lasts (`places.STREAM_SECONDS`).
"""

CLOSED_AT_ONCE = 16
"""Connections closed in one round of a second, more than are opened in it."""


class IdleConnections:
    """When each connection was first seen; `hearing` knows when it was last used."""

    def __init__(self, hearing: Hearing, monotonic: Callable[[], float]) -> None:
        self._hearing = hearing
        self._now = monotonic
        self._since: dict[PeerId, float] = {}
        self._met: OrderedDict[PeerId, float] = OrderedDict()
        """When each peer was last connected, newest last; no more than are counted."""

    def to_close(self, connections: Mapping[PeerId, str], needed: Container[str]) -> list[PeerId]:
        """Return the peers to disconnect, longest unused first. `needed`: peers that stay connected.

        Relayed connections stay, because the relay closes them.
        """
        now = self._now()
        self._since = {peer: self._since.get(peer, now) for peer in connections}
        for peer in connections:
            put_newest(self._met, peer, now, MET_MANY)
        is_large = len(self._met) == MET_MANY and now - next(iter(self._met.values())) < MET_S
        kept = CONNECTIONS_KEPT_MANY if is_large else CONNECTIONS_KEPT
        over = min(CLOSED_AT_ONCE, len(connections) - kept)
        if over <= 0:
            return []
        unused = {
            peer: min(now - self._since[peer], self._hearing.unused_s(peer))
            for peer, address in connections.items()
            if peer not in needed and not is_relayed(address)
        }
        idle = [peer for peer, seconds in unused.items() if seconds > USED_S]
        return sorted(idle, key=unused.__getitem__, reverse=True)[:over]
