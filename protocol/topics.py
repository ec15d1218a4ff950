"""DHT keys and shards (SPEC section 7). All are pure functions, so a peer computes them without asking
anyone.

Shard counts are powers of two and indices nest: a peer's index among 2n shards, modulo n, is its index among
n. A swarm can therefore change the count from round to round, and readers with different counts agree.
"""

from __future__ import annotations

import hashlib

from protocol.encoding import sha256_of
from protocol.errors import InvalidLocal
from protocol.keys import PeerId, public_key_from_peer_id
from protocol.limits import (
    DIGEST_BYTES,
    INT_MAX,
    MEMBERSHIP_SHARDS,
    MEMBERSHIP_SHARDS_MAX,
    SHARDS_MAX,
    TASK_ID_BYTES,
)


def announcement_key(swarm: bytes, round: int, task_id: bytes, shard: int) -> bytes:  # noqa: A002
    """Return the DHT key (32 bytes) for the announcements of one task in one round and shard."""
    _check_width("swarm", swarm, DIGEST_BYTES)
    _check_width("task_id", task_id, TASK_ID_BYTES)
    _check_range("round", round, INT_MAX + 1)
    _check_range("shard", shard, SHARDS_MAX)
    return sha256_of(["swarmd-announcements", swarm, round, task_id, shard])


def membership_key(swarm: bytes, shard: int) -> bytes:
    """Return the DHT key (32 bytes) of one shard of the swarm's peer statuses.

    A peer's own shard is `shard_of(peer_id, swarm, shards)`, where `shards` is a power of two from
    MEMBERSHIP_SHARDS to MEMBERSHIP_SHARDS_MAX.
    """
    _check_width("swarm", swarm, DIGEST_BYTES)
    _check_range("shard", shard, MEMBERSHIP_SHARDS_MAX)
    return sha256_of(["swarmd-members", swarm, shard])


def status_keys(swarm: bytes, peer_id: PeerId) -> tuple[bytes, ...]:
    """Return the DHT keys under which a status of `peer_id` can be stored: one for each number of shards,
    fewest shards first.
    """
    counts = [MEMBERSHIP_SHARDS]
    while counts[-1] < MEMBERSHIP_SHARDS_MAX:
        counts.append(2 * counts[-1])
    return tuple(membership_key(swarm, shard_of(peer_id, swarm, count)) for count in counts)


def body_key(swarm: bytes, digest: bytes) -> bytes:
    """Return the DHT key (32 bytes) for the inline copy of a record whose publisher cannot be dialled."""
    _check_width("swarm", swarm, DIGEST_BYTES)
    _check_width("digest", digest, DIGEST_BYTES)
    return sha256_of(["swarmd-body", swarm, digest])


def publisher_key(swarm: bytes, publisher: PeerId) -> bytes:
    """Return the DHT key (32 bytes) under which a publisher, and no other node, tells its announcements."""
    _check_width("swarm", swarm, DIGEST_BYTES)
    return sha256_of(["swarmd-publisher", swarm, publisher])


def dht_id(key: bytes) -> bytes:
    """Return the 20-byte DHT id of a key, or of a node given the bytes of its peer id (SPEC section 7.6)."""
    return hashlib.sha1(key, usedforsecurity=False).digest()


def shard_of(peer_id: PeerId, salt: bytes, shards: int) -> int:
    """Return the index of `peer_id` in [0, shards). `shards` is a power of two of at most SHARDS_MAX.

    The salt gives a peer different neighbours in each topic: it is the swarm id for membership and the task
    id for announcements. Raises InvalidLocal for any other count.
    """
    if not 1 <= shards <= SHARDS_MAX or shards & (shards - 1):
        raise InvalidLocal(f"{shards} shards: the count must be a power of two from 1 to {SHARDS_MAX}")
    point = hashlib.sha256(public_key_from_peer_id(peer_id) + salt).digest()
    return int.from_bytes(point[:8], "big") % shards


def is_shard_of(shard: int, peer_id: PeerId, salt: bytes) -> bool:
    """Return whether `shard` is the index of `peer_id` for some shard count. At most seven of the 64 are."""
    widest = shard_of(peer_id, salt, SHARDS_MAX)
    return any(shard == widest % (1 << bits) for bits in range(SHARDS_MAX.bit_length()))


def _check_width(what: str, value: bytes, width: int) -> None:
    if len(value) != width:
        raise InvalidLocal(f"{what} has {width} bytes, not {len(value)}")


def _check_range(what: str, value: int, end: int) -> None:
    if not 0 <= value < end:
        raise InvalidLocal(f"{what} {value} is not in [0, {end})")
