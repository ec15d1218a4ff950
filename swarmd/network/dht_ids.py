"""Peer ids in the forms of hivemind's DHT."""

from __future__ import annotations

from functools import lru_cache

from hivemind.dht.routing import DHTID
from hivemind.p2p import PeerID

from protocol.keys import PEER_IDS_REMEMBERED


@lru_cache(PEER_IDS_REMEMBERED)
def peer_of(peer: bytes) -> PeerID:
    """hivemind's form of a binary peer id."""
    return PeerID(peer)


@lru_cache(PEER_IDS_REMEMBERED)
def node_id_of(peer_id: PeerID) -> DHTID:
    """The only place in the DHT that a peer may take."""
    return DHTID.generate(source=peer_id.to_bytes())
