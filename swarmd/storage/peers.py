"""Peers that were seen, and their addresses: whom to dial at the next start if no bootstrap peer answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.storage.connection import Connection

PEERS_MAX = 1_024
"""Peers remembered. Those seen longest ago are dropped first. A start dials a handful of them."""

ADDRESSES_MAX = 8
"""Addresses kept per peer, as many as a peer status can carry."""

ADDRESS_CHARACTERS_MAX = 256
"""The longest address kept, as in a peer status."""


@dataclass(frozen=True)
class SeenPeer:
    """A peer and the multiaddrs it announced."""

    peer_id: str
    addresses: tuple[str, ...]
    last_seen: float
    """Unix time in seconds."""


class Peers:
    """A bounded memory of peers, newest first."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def seen(self, peer_id: str, addresses: Sequence[str], *, now: float) -> None:
        """Remember where a peer was at `now`. If `addresses` is empty, the known ones are kept."""
        kept = [address for address in addresses if len(address) <= ADDRESS_CHARACTERS_MAX][:ADDRESSES_MAX]
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO peers VALUES (?, ?, ?) ON CONFLICT (peer_id) DO UPDATE SET"
                " addresses = CASE excluded.addresses WHEN '[]' THEN addresses ELSE excluded.addresses END,"
                " last_seen = MAX(last_seen, excluded.last_seen)",
                (peer_id, json.dumps(kept), now),
            )
            self._connection.execute(
                "DELETE FROM peers WHERE peer_id IN"
                " (SELECT peer_id FROM peers ORDER BY last_seen DESC LIMIT -1 OFFSET ?)",
                (PEERS_MAX,),
            )

    def known(self, limit: int = PEERS_MAX) -> list[SeenPeer]:
        """Return the peers seen most recently, newest first."""
        rows = self._connection.execute(
            "SELECT peer_id, addresses, last_seen FROM peers ORDER BY last_seen DESC LIMIT ?", (limit,)
        )
        return [SeenPeer(peer_id, tuple(json.loads(addresses)), at) for peer_id, addresses, at in rows]
