"""The announcements that this peer tells of itself on request (SPEC section 7.8). Pure.

Nobody knows a publisher's records better than the publisher. Reading the DHT for one of them takes twenty
calls; asking its publisher for the others takes one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protocol import PeerId, Placement, dht_id, publisher_key
from swarmd.network.rules import KnownManifest
from swarmd.network.shelf import Held

TOLD_MAX = 16
"""Announcements told in one answer, newest first: 7 KB. A receiver keeps no more of one publisher."""


class OwnAnnouncements:
    """The newest announcements of `publisher`, until they expire."""

    def __init__(self, publisher: PeerId, swarm: KnownManifest) -> None:
        self._publisher = publisher
        self._swarm = swarm
        self._held: dict[bytes, Held] = {}

    def add(self, placements: Iterable[Placement]) -> None:
        """Tell these announcements from now on, if they are the publisher's.

        The newest are those that expire last: after an outage, older ones are announced again after them.
        """
        for placement in placements:
            if placement.subkey is not None and placement.subkey.startswith(self._publisher.encode()):
                self._held[placement.subkey] = Held(placement.value, placement.expires)
        newest = sorted(self._held.items(), key=lambda item: item[1].expires)[-TOLD_MAX:]
        self._held = dict(newest)

    def at(self, name: bytes, now: float) -> Mapping[bytes, Held] | None:
        """Return the live announcements by subkey if `name`, a `dht_id`, is that of this publisher's key."""
        manifest = self._swarm()
        if manifest is None or name != dht_id(publisher_key(manifest.swarm_id, self._publisher)):
            return None
        return self.told(now)

    def told(self, now: float) -> Mapping[bytes, Held]:
        """Return the live announcements by subkey."""
        return {subkey: held for subkey, held in self._held.items() if held.expires > now}
