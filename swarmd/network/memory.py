"""`Network` without a network: peers in one process, which `memory_hub.py` connects.

For tests and experiments in simulated time (`simulation.py`). Storing nodes apply the same rules and bounds
as real ones. The DHT is reduced to its guarantee: each value is held by the REPLICAS reachable joined peers
nearest to its key.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

import structlog

from protocol import (
    MEMBERSHIP_SHARDS,
    PEER_ID_BYTES,
    Manifest,
    PeerId,
    Place,
    Placement,
    RejectedRecord,
    body_key,
    dht_id,
    place_announcement,
    place_body,
)
from swarmd.addresses import parse_peer_address
from swarmd.errors import NetworkError
from swarmd.network.interface import (
    BodyProvider,
    Delivered,
    NetworkClosedError,
    NetworkStatistics,
    News,
    Pulled,
    Report,
    Standing,
    StandingOf,
)
from swarmd.network.own_announcements import OwnAnnouncements
from swarmd.network.pulling import BodyPuller
from swarmd.network.rules import KnownManifest, StorageRules, place_all, place_among, signer_of
from swarmd.network.shares import OWN, Source
from swarmd.network.shelf import Shelf
from swarmd.network.streams import (
    CHARTER_PROTOCOL,
    CREDIT_STATUS_PROTOCOL,
    MANIFEST_PROTOCOL,
    STATUS_PROTOCOL,
    VERSIONS_PROTOCOL,
    AbsentError,
    StreamServer,
    as_it_travels,
)

if TYPE_CHECKING:
    from swarmd.network.memory_hub import MemoryHub

log = structlog.get_logger(__name__)

REPLICAS = 5
"""Peers that hold each value, as in `handing_over.py`."""

ASKED = 8
"""Peers asked for a key, like BEAM in `walk.py`."""


class MemoryNetwork:
    """See `swarmd.network.interface.Network`. Created by `MemoryHub.network`."""

    def __init__(
        self, hub: MemoryHub, peer_id: PeerId, address: str, swarm: KnownManifest | None, *, dialable: bool
    ) -> None:
        self._hub = hub
        self._peer_id = peer_id
        self._address = address
        self._dialable = dialable
        self._server = StreamServer()
        self._served: Manifest | None = None
        self._swarm = swarm or (lambda: self._served)
        self._rules = StorageRules(self._swarm)
        self._shelf = Shelf(random.Random(peer_id))  # noqa: S311  the same events on every run
        self._own = OwnAnnouncements(peer_id, self._swarm)
        self._standing_of: StandingOf = lambda _peer: Standing.STRANGER
        self._news: News = lambda _envelope: None
        self._puller = BodyPuller()
        self._closed = False

    @property
    def peer_id(self) -> PeerId:
        return self._peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        return (self._address,)

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:
        try:
            self._served = Manifest.from_bytes(manifest)
        except RejectedRecord:
            self._served = None  # a peer that serves an invalid manifest has no swarm itself
        self._server.serve(bodies, manifest)

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        self._server.tell(envelope, with_credits)

    def tell_announcement(self, envelope: bytes) -> None:
        self._own.add(self._placed([envelope]))

    def tell_charter(self, envelope: bytes) -> None:
        self._server.tell_charter(envelope)

    def news_by(self, news: News) -> None:
        self._news = news

    def count_by(self, delivered: Delivered) -> None:
        self._server.count_by(delivered)

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:  # noqa: ARG002  see below
        """Only the shelf uses standing: in memory there are no floods and no misbehaviour to report."""
        self._standing_of = standing_of

    async def disconnect(self, peer_id: PeerId) -> None:
        """There are no connections to close."""

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:  # noqa: ARG002  no doors
        self._require_open()
        answered = 0
        for address in map(parse_peer_address, addresses):
            if address.peer_id == self._peer_id:
                continue
            try:
                await self._dial(address.peer_id, str(address))
            except NetworkError as error:
                log.debug("peer does not answer", address=str(address), error=str(error))
                continue
            self._hub.join(self._peer_id, address.peer_id)
            answered += 1
        return answered

    async def fetch_manifest(self, address: str) -> bytes:
        peer = parse_peer_address(address)
        return _held(await self._dial(peer.peer_id, str(peer)), MANIFEST_PROTOCOL)

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        self._require_open()
        placements = self._placed(envelopes)
        self._own.add(placements)
        return sum([await self._store(placement) for placement in placements])

    def _placed(self, envelopes: Sequence[bytes]) -> list[Placement]:
        return place_all(place_announcement, envelopes, manifest=self._swarm(), now=self._hub.clock())

    async def publish_status(self, envelope: bytes, shards: int = MEMBERSHIP_SHARDS) -> bool:
        return await self._publish(place_among(shards), [envelope]) == 1

    async def ping(self, peer_id: PeerId) -> float:
        self._require_open()
        began = self._hub.clock()
        await self._hub.reach(self._peer_id, peer_id)
        return self._hub.clock() - began

    async def ask_status(self, peer_id: PeerId) -> bytes:
        self._require_open()
        server = await self._hub.reach(self._peer_id, peer_id)
        try:
            return _held(server, CREDIT_STATUS_PROTOCOL)
        except NetworkError:  # it supports only version 2
            return _held(server, STATUS_PROTOCOL)

    async def ask_charter(self, peer_id: PeerId) -> bytes:
        self._require_open()
        return _held(await self._hub.reach(self._peer_id, peer_id), CHARTER_PROTOCOL)

    async def ask_versions(self, peer_id: PeerId) -> bytes:
        self._require_open()
        return _held(await self._hub.reach(self._peer_id, peer_id), VERSIONS_PROTOCOL)

    async def store_body(self, envelope: bytes) -> bool:
        return await self._publish(place_body, [envelope]) == 1

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._read(keys)

    async def announcements_of(self, peer_id: PeerId) -> list[bytes]:
        self._require_open()
        peer, now = await self._hub.reach(self._peer_id, peer_id), self._hub.clock()
        return [held.value for held in peer._own.told(now).values()]

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._read(keys)

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        async def from_peer(protocol: str, bytes_max: int) -> tuple[bytes, str | None]:
            peer = await self._dial(peer_id)
            body = _held(peer, protocol, digest)
            reply = as_it_travels(protocol, body)
            if len(reply) > bytes_max:
                raise NetworkError(
                    f"the peer offers {len(reply)} bytes where at most {bytes_max} are allowed"
                )
            peer._server.bytes_served += len(reply)
            peer._server.delivered(self._peer_id, body)
            return reply, parse_peer_address(peer._address).transport

        return await self._puller.pull(peer_id, digest, size, from_peer, lambda: self._find_body(digest))

    def statistics(self) -> NetworkStatistics:
        others = [] if self._closed else self._hub.nearest(self._peer_id, b"")
        connections = {
            peer.peer_id: parse_peer_address(peer._address).transport for peer in others if peer is not self
        }
        return NetworkStatistics(
            connected_peers=len(connections),
            restarts=0,
            bytes_pulled=self._puller.bytes_pulled,
            bytes_served=self._server.bytes_served,
            pulls_failed=self._puller.pulls_failed,
            dialable=self._dialable,
            connections=connections,
        )

    async def close(self) -> None:
        self._closed = True
        self._hub.leave(self._peer_id)

    def hand_over(self) -> None:
        """Hand each value here to the peers that should hold it now, as DHT nodes do for newcomers."""
        now = self._hub.clock()
        for key in self._shelf.held_keys():
            for peer in self._hub.nearest(self._peer_id, key)[:REPLICAS]:
                plain = self._shelf.plain(key, now)
                if plain is not None:
                    peer.take(Placement(key, None, plain.value, plain.expires), self._peer_id)
                for subkey, held in self._shelf.entries(key, now).items():
                    peer.take(Placement(key, subkey, held.value, held.expires), self._peer_id)

    def take(self, placement: Placement, sender: PeerId) -> bool:
        """Store what `sender` asks this node to store, as a DHT node would."""
        key, subkey, value, expires = placement.key, placement.subkey, placement.value, placement.expires
        now = self._hub.clock()
        if not self._rules.accept(dht_id(key), subkey, value, expires, now):
            return False
        signer = signer_of(subkey, value)
        source = OWN if sender == self._peer_id else Source(sender, signer, self._standing_of(signer))
        if subkey is None:
            return self._shelf.put_plain(key, value, expires, now, source)
        held = self._shelf.put_entry(key, subkey, value, expires, now, source)
        if held and sender != self._peer_id and len(subkey) > PEER_ID_BYTES:
            self._news(value)
        return held

    async def _dial(self, peer_id: PeerId, address: str | None = None) -> MemoryNetwork:
        self._require_open()
        peer = await self._hub.reach(self._peer_id, peer_id)
        if not peer._dialable or address not in (None, peer._address):
            raise NetworkError(f"{peer_id} cannot be dialled")
        return peer

    async def _publish(self, place: Place, envelopes: Sequence[bytes]) -> int:
        self._require_open()
        placements = place_all(place, envelopes, manifest=self._swarm(), now=self._hub.clock())
        return sum([await self._store(placement) for placement in placements])

    async def _store(self, placement: Placement) -> bool:
        answers: list[bool] = []
        for peer in self._hub.nearest(self._peer_id, placement.key)[:ASKED]:
            if len(answers) == REPLICAS:
                break
            try:
                answers.append(
                    (await self._hub.reach(self._peer_id, peer.peer_id)).take(placement, self._peer_id)
                )
            except NetworkError as error:
                log.debug("replica does not answer", error=str(error))
        return any(answers)

    async def _holders(self, key: bytes) -> list[MemoryNetwork]:
        """Return those of the ASKED nearest peers that answer; all are asked at once."""
        self._require_open()

        async def reach(peer: PeerId) -> MemoryNetwork | None:
            try:
                return await self._hub.reach(self._peer_id, peer)
            except NetworkError as error:
                log.debug("holder does not answer", error=str(error))
                return None

        async with asyncio.TaskGroup() as group:
            nearest = self._hub.nearest(self._peer_id, key)[:ASKED]
            answers = [group.create_task(reach(peer.peer_id)) for peer in nearest]
        return [peer for peer in (answer.result() for answer in answers) if peer is not None]

    async def _read(self, keys: Sequence[bytes]) -> list[bytes]:
        values: dict[bytes, None] = {}
        for key in dict.fromkeys(keys):
            for holder in await self._holders(key):
                now = self._hub.clock()
                for subkey, held in holder._shelf.entries(key, now).items():
                    if self._rules.accept(dht_id(key), subkey, held.value, held.expires, now):
                        values[held.value] = None
        return list(values)

    async def _find_body(self, digest: bytes) -> bytes | None:
        manifest = self._swarm()
        if manifest is None:
            return None
        key = body_key(manifest.swarm_id, digest)
        now = self._hub.clock()
        held = [holder._shelf.plain(key, now) for holder in await self._holders(key)]
        return next((value.value for value in held if value is not None), None)

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkClosedError("the network is closed")


def _held(peer: MemoryNetwork, protocol: str, request: bytes = b"") -> bytes:
    """Return the reply of `peer`. Raises AbsentError."""
    reply = peer._server.find(protocol, request)
    if reply is None:
        raise AbsentError("the peer does not hold it")
    return reply
