"""Chooses relayed connections to dial again, so that libp2p can punch holes. Pure.

p2pd tries to punch a hole only at the moment a relayed connection comes in, and only once it knows its own
outer address. A peer makes its first relayed connections before that. Without a second dial they would stay
relayed until the relay ends them.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

from protocol import PeerId
from swarmd.addresses import is_relayed
from swarmd.network.newest import put_newest

OBSERVERS_MIN = 4
"""Networks that must have seen this peer's address before go-libp2p 0.32 believes it (`ActivationThresh`)."""

REDIALS_OF_PEER_MAX = 3
"""A hole needs two packets to cross, so one failure says little. A symmetric router fails every time."""

PAUSE_S = 60.0
"""Between two dials of one peer: what it sends in between is not interrupted."""

PEERS_MAX = 1_024
"""Peers remembered as dialled again. Newer ones displace the oldest."""


class Redials:
    """Names each relayed peer a few times."""

    def __init__(self) -> None:
        self._done: OrderedDict[PeerId, tuple[int, float]] = OrderedDict()

    def due(
        self, connections: Mapping[PeerId, str], *, dialable: bool, observers: int, now: float
    ) -> PeerId | None:
        """Return a peer to hang up on and dial again, or None.

        `connections`: peer -> remote multiaddr. `dialable`: whether others can dial this peer directly, so
        that it needs no hole. `observers`: networks that have told this peer how they see it. `now`:
        monotonic seconds.
        """
        if dialable or observers < OBSERVERS_MIN:
            return None
        for peer, address in connections.items():
            times, last = self._done.get(peer, (0, -math.inf))
            if is_relayed(address) and times < REDIALS_OF_PEER_MAX and now - last >= PAUSE_S:
                put_newest(self._done, peer, (times + 1, now), PEERS_MAX)
                return peer
        return None
