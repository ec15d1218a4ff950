"""Peer ids in the forms that hivemind's DHT uses."""

from __future__ import annotations

from functools import lru_cache

from hivemind.dht.routing import DHTID
from hivemind.p2p import PeerID

from protocol.keys import PEER_IDS_REMEMBERED


@lru_cache(PEER_IDS_REMEMBERED)
def peer_of(peer: bytes) -> PeerID:
    """Convert a binary peer id to hivemind's type."""
    return PeerID(peer)


@lru_cache(PEER_IDS_REMEMBERED)
def node_id_of(peer_id: PeerID) -> DHTID:
    """Return the only DHT id that a peer is allowed to use."""
    return DHTID.generate(source=peer_id.to_bytes())
