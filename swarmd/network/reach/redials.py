"""Chooses relayed connections to dial again, so that libp2p can punch holes. Pure.

p2pd tries to punch a hole only at the moment a relayed connection comes in, and only once it knows its own
outer address. A peer makes its first relayed connections before that. Without a second dial they would stay
relayed until the relay ends them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from protocol import PeerId
from swarmd.addresses import is_relayed
from swarmd.network.newest import put_newest

OBSERVERS_MIN = 4
"""Networks that must have seen this peer's address before go-libp2p 0.32 believes it (`ActivationThresh`)."""

REDIALS_MAX = 1_024
"""Peers remembered as dialled again. Later ones displace the oldest."""


class Redials:
    """Names each relayed peer once."""

    def __init__(self) -> None:
        self._done: OrderedDict[PeerId, None] = OrderedDict()

    def due(self, connections: Mapping[PeerId, str], *, dialable: bool, observers: int) -> PeerId | None:
        """Return a peer to hang up on and dial again, or None.

        `connections`: peer -> remote multiaddr. `dialable`: whether others can dial this peer directly, so
        that it needs no hole. `observers`: networks that have told this peer how they see it.
        """
        if dialable or observers < OBSERVERS_MIN:
            return None
        for peer, address in connections.items():
            if is_relayed(address) and peer not in self._done:
                put_newest(self._done, peer, None, REDIALS_MAX)
                return peer
        return None
