"""Peer ids as libp2p sends them: 38 bytes around an Ed25519 key. Raises only MessageError."""

from __future__ import annotations

from functools import lru_cache

from protocol import PeerId, ProtocolError, public_key_from_peer_id
from protocol.keys import peer_id_from_public_key
from swarmd.network.malformed import Malformed, MessageError

_PREFIX = bytes.fromhex("002408011220")  # identity multihash of 36 bytes, then a protobuf PublicKey
_BYTES = len(_PREFIX) + 32


IDS_KEPT = 4_096
"""Results remembered, about 1 MiB. Every answer of the DHT names dozens of peers, nearly always the same."""


@lru_cache(maxsize=IDS_KEPT)
def read_peer_id(data: bytes) -> PeerId:
    """Convert a binary peer id to text. Raises MessageError unless it contains a usable Ed25519 key."""
    if len(data) != _BYTES or not data.startswith(_PREFIX):
        raise MessageError(Malformed.PEER_ID, f"{len(data)} bytes that are not an Ed25519 peer id")
    try:
        return peer_id_from_public_key(bytes(data[len(_PREFIX) :]))
    except ProtocolError as error:
        raise MessageError(Malformed.PEER_ID, str(error)) from error


def write_peer_id(peer: PeerId) -> bytes:
    """Return the binary form of a peer id that was already checked."""
    return _PREFIX + public_key_from_peer_id(peer)
