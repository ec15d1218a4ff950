"""`Network` over hivemind and libp2p: one supervised p2pd, one in-process DHT node, two stream protocols.

Importing this module imports torch (through hivemind); `swarmd.network` alone does not. Each instance has one
background task, which watches p2pd and keeps the peer in the DHT. A bug in that task closes the network: the
next call raises NetworkClosedError with the bug as its cause, and `close` raises the bug itself.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from protocol import (
    MEMBERSHIP_SHARDS,
    KeyPair,
    PeerId,
    place_announcement,
    place_body,
    publisher_key,
)
from swarmd.addresses import parse_announced_address, parse_peer_address, tcp_port
from swarmd.config import NetworkConfig
from swarmd.errors import ConfigError, NetworkError
from swarmd.network.address_book import AddressBook
from swarmd.network.control import IncomingStream, StreamHandler
from swarmd.network.dht_storage import Clock
from swarmd.network.doors import Doors
from swarmd.network.guard import Guard
from swarmd.network.in_touch import InTouch
from swarmd.network.interface import (
    BodyProvider,
    Delivered,
    NetworkStatistics,
    News,
    Pulled,
    Report,
    StandingOf,
)
from swarmd.network.neighbourhood import Neighbourhood
from swarmd.network.own_announcements import OwnAnnouncements
from swarmd.network.p2pd import P2PSettings, is_running_elsewhere
from swarmd.network.pauses import Pauses
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.places import STREAM_SECONDS
from swarmd.network.ports import on_free_port
from swarmd.network.pulling import BodyPuller
from swarmd.network.reach.reachability import Reaching
from swarmd.network.rules import KnownManifest, StorageRules, place_among
from swarmd.network.session import Session
from swarmd.network.shelf import Shelf
from swarmd.network.storing import Holding
from swarmd.network.streams import (
    CHARTER_PROTOCOL,
    CREDIT_STATUS_PROTOCOL,
    MANIFEST_PROTOCOL,
    REPLY_BYTES_MAX,
    SERVED,
    STATUS_PROTOCOL,
    VERSIONS_PROTOCOL,
    AbsentError,
    AskedStreams,
    BusyError,
    StreamServer,
    ask,
)
from swarmd.network.supervisor import Supervisor
from swarmd.network.traversals import Traversals

log = structlog.get_logger(__name__)


class HivemindNetwork:
    """See `swarmd.network.interface.Network`."""

    def __init__(
        self,
        settings: P2PSettings,
        key: KeyPair,
        config: NetworkConfig,
        swarm: KnownManifest,
        clock: Clock,
        *,
        visiting: bool,
    ) -> None:
        """Use `start`."""
        self._visiting = visiting
        self._settings = settings
        self._key = key
        self._dialable = config.dialable
        self._swarm = swarm
        self._clock = clock
        self._rules = StorageRules(swarm)
        self._shelf = Shelf(random.Random(os.urandom(16)))  # noqa: S311  must be unpredictable
        self._own = OwnAnnouncements(key.peer_id, swarm)
        self._news: News = lambda _envelope: None
        self._puller = BodyPuller()
        self._guard = Guard(time.monotonic, self._puller.delivered)
        self._server = StreamServer(self._guard.relies_on)
        self._asked = AskedStreams()
        self._supervisor = Supervisor(self._open_session)
        self._traversals = Traversals(self._supervisor, swarm, clock)
        announced = [parse_announced_address(text, key.peer_id) for text in config.announce]
        self._doors = Doors()
        self._pauses = Pauses(time.monotonic, time.time)
        self._book = AddressBook(self._guard.relies_on, time.monotonic)
        self._neighbourhood = Neighbourhood(
            self._supervisor, key.peer_id, announced, self._guard, self._doors, self._book
        )
        self._known_since: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._reaching = Reaching(
            self._supervisor,
            self._neighbourhood,
            self._guard,
            ask=self._ask,
            port=next(filter(None, map(tcp_port, announced)), settings.port),
            relays=config.relay and not visiting,
            delivered=self._puller.delivered,
            pauses=self._pauses,
            monotonic=time.monotonic,
        )
        hearing, needed = self._guard.hearing, self._reaching.needed
        self._in_touch = InTouch(
            self._neighbourhood, self._supervisor, hearing, self._doors, self._pauses, needed
        )

    @classmethod
    async def start(
        cls,
        *,
        key: KeyPair,
        identity_path: Path,
        config: NetworkConfig,
        swarm: KnownManifest,
        clock: Clock = time.time,
        runtime: Path | None = None,
        visiting: bool = False,
        usual_port: int | None = None,
    ) -> HivemindNetwork:
        """Start p2pd and a DHT node that knows no peers yet; `connect` joins others.

        `identity_path`: `key` as a libp2p key file (`KeyPair.to_libp2p`). `swarm`: called at every store, so
        a peer can start before it knows its swarm. `runtime`: the directory for p2pd's sockets. `visiting`:
        do not become a node of the DHT, because this peer leaves soon. `usual_port`: the first to try if
        `config.port` is 0. Raises ConfigError (port in use, malformed address, key in use among
        `config.peers`) and NetworkError (p2pd does not start).
        """
        strangers = [peer for peer in map(parse_peer_address, config.peers) if peer.peer_id != key.peer_id]
        announce = tuple(parse_announced_address(text, key.peer_id).transport for text in config.announce)
        if strangers and await is_running_elsewhere(key.peer_id, strangers, runtime):
            raise ConfigError(
                f"another peer with this key ({key.peer_id}) is running; stop it, or give each peer its own "
                "home (--home DIR), never a copy"
            )

        async def listen(port: int) -> tuple[HivemindNetwork, Session]:
            settings = P2PSettings(identity_path, config.host, port, announce, config.ipv6, runtime)
            network = cls(settings, key, config, swarm, clock, visiting=visiting)
            return network, await network._supervisor.start()

        self, session = await on_free_port(config.host, config.port, usual_port, listen)
        try:
            await self._neighbourhood.refresh(session)
        except BaseException:
            await self._supervisor.close()
            raise
        self._task = asyncio.get_running_loop().create_task(self._background(), name=f"network {key.peer_id}")
        self._task.add_done_callback(self._background_ended)
        log.info(
            "network started", peer_id=key.peer_id, addresses=self.addresses, p2pd_pid=session.process_id
        )
        return self

    @property
    def peer_id(self) -> PeerId:
        return self._key.peer_id

    @property
    def port(self) -> int:
        """The TCP port that p2pd listens on, to be reused at the next start."""
        return self._settings.port

    @property
    def addresses(self) -> tuple[str, ...]:
        return self._neighbourhood.addresses

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:
        self._server.serve(bodies, manifest)

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        self._server.tell(envelope, with_credits)

    def tell_announcement(self, envelope: bytes) -> None:
        self._own.add(self._traversals.place(place_announcement, [envelope]))

    def tell_charter(self, envelope: bytes) -> None:
        self._server.tell_charter(envelope)

    def count_by(self, delivered: Delivered) -> None:
        self._server.count_by(delivered)

    def news_by(self, news: News) -> None:
        self._news = news

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        self._guard.judge_by(standing_of, report)

    async def disconnect(self, peer_id: PeerId) -> None:
        session = await self._supervisor.session()
        await session.disconnect(peer_id)

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:
        return await self._neighbourhood.connect(addresses, named=named)

    async def fetch_manifest(self, address: str) -> bytes:
        peer = parse_peer_address(address)
        session = await self._supervisor.session()
        await session.dial(peer)
        return await self._ask(session, peer.peer_id, MANIFEST_PROTOCOL)

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        placements = self._traversals.place(place_announcement, envelopes)
        self._own.add(placements)
        return (await self._traversals.store(placements)).held

    async def publish_status(self, envelope: bytes, shards: int = MEMBERSHIP_SHARDS) -> bool:
        placements = self._traversals.place(place_among(shards), [envelope])
        return await self._traversals.store(placements) == Holding(held=1, crowded=0)

    async def ping(self, peer_id: PeerId) -> float:
        if self._guard.shuns(peer_id):
            raise NetworkError(f"{peer_id} is blocked: it is banned, or it broke the transport's rules")
        session = await self._supervisor.session()
        began = time.monotonic()
        if await session.greet(peer_id) is None:
            raise NetworkError(f"{peer_id} does not answer: it left, or cannot be reached from here")
        return time.monotonic() - began

    async def ask_status(self, peer_id: PeerId) -> bytes:
        session = await self._supervisor.session()
        try:
            return await self._ask(session, peer_id, CREDIT_STATUS_PROTOCOL)
        except NetworkError:  # it supports only version 2, or is gone; the next request tells
            return await self._ask(session, peer_id, STATUS_PROTOCOL)

    async def ask_charter(self, peer_id: PeerId) -> bytes:
        return await self._ask(await self._supervisor.session(), peer_id, CHARTER_PROTOCOL)

    async def ask_versions(self, peer_id: PeerId) -> bytes:
        return await self._ask(await self._supervisor.session(), peer_id, VERSIONS_PROTOCOL)

    async def store_body(self, envelope: bytes) -> bool:
        return (await self._traversals.store(self._traversals.place(place_body, [envelope]))).held == 1

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._traversals.read(keys)

    async def announcements_of(self, peer_id: PeerId) -> list[bytes]:
        manifest = self._swarm()
        if manifest is None:
            raise NetworkError("nobody publishes anything before the swarm is known")
        session = await self._supervisor.session()
        return await session.told_under(publisher_key(manifest.swarm_id, peer_id), peer_id)

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        return await self._traversals.read(keys)

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        async def from_peer(protocol: str, bytes_max: int) -> tuple[bytes, str | None]:
            session = await self._supervisor.session()
            if peer_id in self._guard.hearing.away:
                raise NetworkError(f"{peer_id} is away")
            body = await self._ask(session, peer_id, protocol, digest, bytes_max)
            return body, self._neighbourhood.connections.get(peer_id)

        return await self._puller.pull(
            peer_id, digest, size, from_peer, lambda: self._traversals.body(digest)
        )

    def statistics(self) -> NetworkStatistics:
        connections, hearing = self._neighbourhood.connections, self._guard.hearing
        unheard, known = hearing.unheard, len(hearing.ever_heard | self._doors.peers)
        if known and self._known_since is None:
            self._known_since = time.monotonic()
        return NetworkStatistics(
            connected_peers=sum(peer not in unheard for peer in connections),
            restarts=self._supervisor.restarts,
            bytes_pulled=self._puller.bytes_pulled,
            bytes_served=self._server.bytes_served,
            pulls_failed=self._puller.pulls_failed,
            dialable=self._reaching.dialable if self._dialable is None else self._dialable,
            problems=tuple(filter(None, [self._neighbourhood.clock_problem, *self._guard.problems])),
            connections={peer: at for peer, at in connections.items() if peer not in unheard},
            refused=dict(self._guard.refused),
            known_peers=known,
            known_since=self._known_since,
            unheard=unheard,
            pauses=self._pauses.times,
            answered_at=hearing.answered_at,
            asked_at=hearing.asked_at,
            reach=self._reaching.view(),
            ways=dict(self._puller.ways),
        )

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self._supervisor.close()
        if task is not None and not task.cancelled() and task.exception() is not None:
            raise task.exception()  # type: ignore[misc]  # a bug in the background task; see the module

    async def _open_session(self) -> Session:
        def handler(serve: Callable[..., Any]) -> StreamHandler:
            def handle(stream: IncomingStream, *ends: Any) -> Any:
                peer = read_peer_id(stream.peer)
                return serve(peer, *ends, self._guard.standing(peer))

            return handle

        streams = {
            **{protocol: handler(partial(self._server.answer, protocol)) for protocol in SERVED},
            **self._reaching.handlers(),
        }
        self._book.restarted()
        session = await Session.open(
            *(self._settings, self._rules, self._shelf, self._own, self._guard, self._book),
            *(self._clock, self._pauses, streams),
        )
        session.dht.news_by(lambda envelope: self._news(envelope))
        if self._visiting:
            session.visit()
        return session

    async def _background(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._supervisor.run(self._neighbourhood.restore))
            group.create_task(self._neighbourhood.keep_refreshed())
            group.create_task(self._in_touch.keep_looking())
            group.create_task(self._in_touch.keep())
            group.create_task(self._neighbourhood.keep_located())
            group.create_task(self._neighbourhood.keep_hanging_up())
            if not self._visiting:
                group.create_task(self._reaching.keep())

    def _background_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("network failed", exc_info=error)
            self._supervisor.fail(error)

    async def _ask(
        self,
        session: Session,
        peer_id: PeerId,
        protocol_id: str,
        request: bytes = b"",
        bytes_max: int | None = None,
    ) -> bytes:
        limit = REPLY_BYTES_MAX[protocol_id] if bytes_max is None else bytes_max
        what = f"asking {peer_id} for {protocol_id}"
        stream = session.stream(peer_id, protocol_id, what, STREAM_SECONDS)
        hearing = self._guard.hearing
        try:
            async with self._asked.place(peer_id):
                hearing.used(peer_id)
                async with stream as (reader, writer):
                    reply = await ask(reader, writer, request, bytes_max=limit)
        except (AbsentError, BusyError):
            hearing.answered(peer_id)
            raise
        except NetworkError:
            hearing.doubt(peer_id)
            raise
        hearing.answered(peer_id)
        return reply
