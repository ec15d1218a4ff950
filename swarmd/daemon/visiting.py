"""Look at a swarm from outside, without a home: list its members by asking one of its peers.

The visitor uses a key that it throws away. It stores nothing, and does not enter the DHT's routing tables.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from protocol import (
    MEMBERSHIP_SHARDS,
    MEMBERSHIP_SHARDS_MAX,
    KeyPair,
    Manifest,
    PeerId,
    PeerStatus,
    RejectedRecord,
    membership_key,
    verify_full_status,
    verify_status,
)
from swarmd.addresses import parse_peer_address
from swarmd.config.slices import NetworkConfig
from swarmd.errors import NetworkError, SwarmdError
from swarmd.network.hivemind import HivemindNetwork

VISIT_S = 45.0
"""Seconds for everything: starting the transport takes some seconds, and reading 16 keys a few. A large
swarm has up to 64.
"""

LARGE = 64
"""Statuses under the keys that every swarm uses, from which on the other keys are read too. Those are in use
from 2,048 peers on, and these then hold at most 128 of 256 statuses.
"""

ANSWER_S = 10.0
"""Seconds for the named peer to say which swarm it is in."""

FULL_STATUSES_MAX = 64
"""Most members asked for their full status; `used` of the rest stays unknown."""


@dataclass(frozen=True)
class Member:
    """A peer in its own words: everything here is its claim."""

    peer_id: PeerId
    status: PeerStatus
    used: dict[str, int] | None
    """Publisher -> groups that it says it trained on; None if it was not asked, or did not say."""


@dataclass(frozen=True)
class Visit:
    """A swarm at one moment."""

    manifest: Manifest
    members: tuple[Member, ...]
    at: float
    """Unix time in seconds."""


async def visit(address: str) -> Visit:
    """Query the swarm of the peer at `address`. Raises ConfigError for a malformed address, and
    SwarmdError.
    """
    parse_peer_address(address)
    key = KeyPair.from_seed(os.urandom(32))
    manifest: Manifest | None = None
    with TemporaryDirectory(prefix="swarmd-visit-") as directory:
        identity = Path(directory) / "identity.key"
        identity.touch(mode=0o600)
        identity.write_bytes(key.to_libp2p())
        try:
            async with asyncio.timeout(VISIT_S):
                network = await HivemindNetwork.start(
                    key=key,
                    identity_path=identity,
                    config=NetworkConfig(host="127.0.0.1", dialable=False),
                    swarm=lambda: manifest,
                    visiting=True,
                )
                try:
                    manifest = await _manifest(network, address)
                    await network.connect([address], named=True)
                    return await _look(network, manifest)
                finally:
                    await network.close()
        except TimeoutError as error:
            raise SwarmdError(f"the swarm of {address} did not answer within {VISIT_S:.0f} s") from error


async def _manifest(network: HivemindNetwork, address: str) -> Manifest:
    try:
        async with asyncio.timeout(ANSWER_S):
            return Manifest.from_bytes(await network.fetch_manifest(address))
    except (NetworkError, TimeoutError) as error:
        raise SwarmdError(
            f"nobody answers at {address}: is the peer running, and is this its address? Each peer prints it "
            "as `others join with`"
        ) from error
    except RejectedRecord as error:
        raise SwarmdError(
            f"the peer at {address} serves no manifest that this version can read: {error}"
        ) from error


async def _look(network: HivemindNetwork, manifest: Manifest) -> Visit:
    now, swarm = time.time(), manifest.swarm_id
    statuses: dict[PeerId, PeerStatus] = {}
    envelopes = await _statuses_in(network, swarm, range(MEMBERSHIP_SHARDS))
    if len(envelopes) >= LARGE:
        envelopes += await _statuses_in(network, swarm, range(MEMBERSHIP_SHARDS, MEMBERSHIP_SHARDS_MAX))
    for envelope in envelopes:
        try:
            verified = verify_status(envelope, swarm=swarm, now=now)
        except RejectedRecord:
            continue
        known = statuses.get(verified.publisher)
        if known is None or known.created < verified.status.created:
            statuses[verified.publisher] = verified.status
    used = await _ask(
        network, manifest, [peer for peer in network.statistics().connections if peer in statuses]
    )
    members = (Member(peer, status, used.get(peer)) for peer, status in statuses.items())
    return Visit(manifest, tuple(sorted(members, key=lambda one: (-one.status.step, one.peer_id))), now)


async def _statuses_in(network: HivemindNetwork, swarm: bytes, shards: range) -> list[bytes]:
    return await network.read_statuses([membership_key(swarm, shard) for shard in shards])


async def _ask(
    network: HivemindNetwork, manifest: Manifest, peers: Sequence[PeerId]
) -> dict[PeerId, dict[str, int]]:
    """Return whom each peer says that it learned from. Peers that do not say are left out."""
    told: dict[PeerId, dict[str, int]] = {}

    async def ask(peer: PeerId) -> None:
        try:
            envelope = await network.ask_status(peer)
            status = verify_full_status(
                envelope, swarm=manifest.swarm_id, now=time.time(), publisher=peer
            ).status
        except (NetworkError, RejectedRecord):
            return
        told[peer] = {use.publisher: use.groups for use in status.used}

    async with asyncio.TaskGroup() as group:
        for peer in peers[:FULL_STATUSES_MAX]:
            group.create_task(ask(peer), name=f"full status of {peer}")
    return told
