"""The messages between DHT nodes, and the routing table, for a storing node that is bounded and sceptical.

The routing table and the message formats are hivemind's. The differences and their reasons (measured with
hivemind 1.1.12):

- `messages.py` reads every message and bounds it before decoding it;
- values live in a bounded `Shelf` (hivemind's storage grows without end) and pass `StorageRules` on the way
  in and out. A dictionary with refused entries is read without them instead of being refused as a whole;
- node ids are derived from peer ids, so a peer cannot choose to sit next to a particular key;
- values are handed to newcomers in the background, in messages of bounded size, at a bounded pace;
- searches are our own (`searching.py`): in hivemind's, names that do not answer displace the real nodes;
- the RPC names contain this class's name, so plain hivemind nodes and swarmd nodes do not mix.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import structlog
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.routing import DHTID
from hivemind.p2p import P2P, PeerID
from hivemind.proto import dht_pb2

from swarmd.network.address_book import AddressBook
from swarmd.network.answers import Answer, Stored
from swarmd.network.bucket_checks import BucketChecks
from swarmd.network.control import P2PD_ERRORS, Control, Handler
from swarmd.network.dht_ids import node_id_of, peer_of
from swarmd.network.dht_keeping import Keeping
from swarmd.network.dht_storage import Clock, with_entries
from swarmd.network.guard import Guard
from swarmd.network.handing_over import REPLICAS, HandingOver, Packed, messages_of
from swarmd.network.interface import News
from swarmd.network.introducing import introduce
from swarmd.network.malformed import MessageError
from swarmd.network.messages import (
    ADDRESS,
    FIND_ANSWER_BYTES_MAX,
    FIND_KEYS_MAX,
    NAMING_ANSWER_BYTES_MAX,
    NEIGHBOURS_MAX,
    PING_BYTES_MAX,
    STORE_ANSWER_BYTES_MAX,
    Found,
    Sender,
    add_addresses,
    add_names,
    ask_for_names,
    read_find_answer,
    read_find_request,
    read_ping_answer,
    read_ping_request,
    read_store_answer,
    read_store_request,
)
from swarmd.network.named_addresses import name_neighbours, name_publishers, note_named
from swarmd.network.own_announcements import OwnAnnouncements
from swarmd.network.packing import write_bin
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Shelf
from swarmd.network.streams import BusyError
from swarmd.network.walk import BEAM

log = structlog.get_logger(__name__)

T = TypeVar("T")

BUCKET_SIZE = NEIGHBOURS_MAX
"""Peers in one bucket of the routing table (Kademlia's k)."""

NAMED = BEAM
"""Neighbours that this node returns for one key. A walk follows no more of one answer (`walk.py`). Returning
all 20 made up most of the bytes of a find in a swarm of a hundred.
"""

RPC_SECONDS = 1.5
"""Seconds for one DHT message. A store next to stopped peers took 6.2 s with the default of 3 s, and 2.0 s
with 1 s.
"""

RPCS_AT_ONCE = 64
"""Outgoing DHT messages in flight."""

PING, STORE, FIND = "SwarmDHT.rpc_ping", "SwarmDHT.rpc_store", "SwarmDHT.rpc_find"
"""Protocol ids of the three calls."""


class SwarmDHT(DHTProtocol):  # type: ignore[misc]  # hivemind is untyped
    """The messages between DHT nodes. Renaming this class renames them on the wire."""

    _rpc_handlers = None  # hivemind collects these once per class and would use its base class's names
    _stub_type = None
    _control: Control
    _keeping: Keeping
    _guard: Guard
    _book: AddressBook
    _clock: Clock
    _tasks: set[asyncio.Task[Any]]
    _own: OwnAnnouncements
    _bucket_checks: BucketChecks
    _handing_over: HandingOver
    _hidden: bool

    @classmethod
    async def open(
        cls,
        p2p: P2P,
        control: Control,
        rules: StorageRules,
        shelf: Shelf,
        own: OwnAnnouncements,
        guard: Guard,
        book: AddressBook,
        clock: Clock,
    ) -> SwarmDHT:
        node_id = node_id_of(p2p.peer_id)
        self: SwarmDHT = await cls.create(
            p2p,
            node_id,
            bucket_size=BUCKET_SIZE,
            depth_modulo=5,
            num_replicas=REPLICAS,
            wait_timeout=RPC_SECONDS,
            parallel_rpc=RPCS_AT_ONCE,
            # hivemind's handlers decode before checking the sender, so they are never registered
            client_mode=True,
        )
        self._control, self._shelf, self._guard, self._clock = control, shelf, guard, clock
        self._own, self._book = own, book
        self._keeping = Keeping(rules, shelf, guard, clock)
        self._hidden = False
        self._tasks = set()
        self._bucket_checks = BucketChecks(self.routing_table, time.monotonic)
        self._handing_over = HandingOver(node_id, self.routing_table, shelf, clock, self._store)
        self.start(self._handing_over.run(), "handing over to newcomers")
        return self

    @property
    def handlers(self) -> dict[str, Handler]:
        """The handlers of requests, by protocol id."""
        return {PING: self._on_ping, STORE: self._on_store, FIND: self._on_find}

    def news_by(self, news: News) -> None:
        """From now on, call `news` with each announcement that another peer stores on this node."""
        self._keeping.news = news

    def hide(self) -> None:
        """From now on, send requests without our DHT place (SPEC section 7.6.3)."""
        self._hidden = True

    def end(self) -> None:
        """Cancel the background tasks."""
        for task in self._tasks:
            task.cancel()

    # Requests from peers -----------------------------------------------------------------------------

    def _on_ping(self, data: bytes, sender: bytes) -> bytes:
        self._met(sender, read_ping_request(data))
        return self._packed(dht_pb2.PingResponse(peer=self._place(), dht_time=self._clock()))

    def _on_store(self, data: bytes, sender: bytes) -> bytes:
        request = read_store_request(data)
        self._met(sender, request.sender)
        kept = self._keeping.keep(request.items, sender)
        answer = dht_pb2.StoreResponse(store_ok=kept, peer=self._place())
        keys = dict.fromkeys(item.key for item in request.items if item is not None)
        if request.names and len(keys) <= FIND_KEYS_MAX:
            add_names(answer, [self._named(key, peer_of(sender)) for key in keys])
        return self._packed(answer)

    def _on_find(self, data: bytes, sender: bytes) -> bytes:
        request = read_find_request(data)
        self._met(sender, request.sender)
        results = [self._found(key, peer_of(sender)) for key in request.keys]
        return self._packed(dht_pb2.FindResponse(results=results, peer=self._place()))

    def _found(self, name: bytes, caller: PeerID) -> dht_pb2.FindResult:
        now = self._clock()
        if (told := self._own.at(name, now)) is not None:
            return with_entries(dht_pb2.FindResult(type=dht_pb2.NOT_FOUND), told)
        result = self._named(name, caller)
        if (plain := self._shelf.plain(name, now)) is not None:
            result.type, result.expiration_time = dht_pb2.FOUND_REGULAR, plain.expires
            result.value = write_bin(plain.value)
            return result
        entries = self._shelf.answer(name, read_peer_id(caller.to_bytes()), now)
        name_publishers(self._book, result, entries)
        return with_entries(result, entries)

    def _named(self, name: bytes, caller: PeerID) -> dht_pb2.FindResult:
        """Return a result that names nodes near a key."""
        key = DHTID.from_bytes(name)
        nearest = self.routing_table.get_nearest_neighbors(key, k=NAMED, exclude=node_id_of(caller))
        result = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[node_id.to_bytes() for node_id, _ in nearest],
            nearest_peer_ids=[peer.to_bytes() for _, peer in nearest],
        )
        name_neighbours(self._book, result)
        return result

    @staticmethod
    def _packed(answer: Any) -> bytes:
        return answer.SerializeToString()  # type: ignore[no-any-return]

    # Requests to peers -------------------------------------------------------------------------------

    async def _call(self, peer: PeerID, protocol: str, request: Any, bytes_max: int) -> bytes | None:
        """Return the undecoded answer. None if the peer is busy, or does not answer and loses its slot."""
        hearing, name = self._guard.hearing, read_peer_id(peer.to_bytes())
        if self._guard.shuns(name) or name in hearing.away:
            self._forget(peer)
            return None
        answer = None
        hearing.used(name)
        try:
            async with self.rpc_semaphore, asyncio.timeout(self.wait_timeout):
                await introduce(self._control, self._book, name)
                answer = await self._control.call(
                    peer.to_bytes(), protocol, request.SerializeToString(), bytes_max
                )
        except BusyError:
            pass
        except MessageError as error:
            self._lied(peer, error)
        except (TimeoutError, *P2PD_ERRORS) as error:
            log.debug("no answer", peer=str(peer), protocol=protocol, error=str(error))
            had_a_place = self._forget(peer)
            if had_a_place or protocol == PING:  # not for names from other peers, which may not exist
                hearing.unanswered(name)
            return None
        hearing.answered(name)
        return answer

    async def greet(self, peer: PeerID) -> float | None:
        """Ping, and enter each other's routing table. Return how many seconds the peer's clock is ahead.

        None if it does not answer, or its answer is malformed.
        """
        asked = self._clock()
        answer = await self._call(peer, PING, dht_pb2.PingRequest(peer=self._sender()), PING_BYTES_MAX)
        if answer is None:
            return None
        try:
            its_time = read_ping_answer(answer)
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        return its_time - (asked + self._clock()) / 2

    async def store(self, peer: PeerID, things: Sequence[Packed], *, names: bool = False) -> Stored | None:
        """Ask `peer` to hold `things`, in messages of bounded size. None if it does not answer.

        `names`: ask it to name nodes near their keys, too, at most FIND_KEYS_MAX different ones.
        """
        held: list[bool] = []
        neighbours: dict[bytes, tuple[PeerID, ...]] = {}
        for batch in messages_of(things):
            stored = await self._store(peer, batch, names=names)
            if stored is None:
                return None
            held.extend(stored.held)
            neighbours |= stored.neighbours
        return Stored(held, neighbours)

    async def _store(self, peer: PeerID, batch: Sequence[Packed], *, names: bool = False) -> Stored | None:
        keys, subkeys, values, expires = zip(*batch, strict=True)
        request = dht_pb2.StoreRequest(
            keys=keys,
            subkeys=subkeys,
            values=values,
            expiration_time=expires,
            in_cache=[False] * len(batch),
            peer=self._sender(),
        )
        near, bytes_max = [], STORE_ANSWER_BYTES_MAX
        if names:
            near, bytes_max = list(dict.fromkeys(keys)), NAMING_ANSWER_BYTES_MAX
            ask_for_names(request)
        answer = await self._call(peer, STORE, request, bytes_max)
        if answer is None:
            return None
        try:
            held, named = read_store_answer(answer, len(batch), near)
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        if any(held):
            self._guard.kept_ours(peer.to_bytes())
        else:
            self._guard.refused_ours(peer.to_bytes())
        believed = (self._believed(peer, found).neighbours for found in named)
        return Stored(held, dict(zip(near, believed, strict=False)))

    async def find(self, peer: PeerID, keys: Sequence[bytes]) -> list[Answer] | None:
        """Return what `peer` knows about each of at most FIND_KEYS_MAX keys. None if it does not answer."""
        request = dht_pb2.FindRequest(keys=keys, peer=self._sender())
        answer = await self._call(peer, FIND, request, FIND_ANSWER_BYTES_MAX)
        if answer is None:
            return None
        try:
            found = read_find_answer(answer, keys)
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        return [self._believed(peer, result) for result in found]

    def _believed(self, peer: PeerID, found: Found) -> Answer:
        entries, plain = self._keeping.believed(found, peer.to_bytes())
        named = list(map(peer_of, found.neighbours))
        note_named(self._book, read_peer_id(peer.to_bytes()), found, entries)
        others = (other for other in named if other != self.p2p.peer_id and not self._shunned(other))
        return Answer(entries, plain, tuple(others))

    def _place(self) -> dht_pb2.NodeInfo:
        """This node's DHT id for a message: none if it is hidden."""
        return dht_pb2.NodeInfo(node_id=b"" if self._hidden else self.node_id.to_bytes())

    def _sender(self) -> dht_pb2.NodeInfo:
        """The same for a request, with this peer's address."""
        me = self._place()
        if not self._hidden:
            add_addresses(me, ADDRESS, [self._book.own])
        return me

    # The routing table -------------------------------------------------------------------------------

    @property
    def peers(self) -> list[PeerID]:
        """All peers in the routing table."""
        return list(self.routing_table.uid_to_peer_id.values())

    def is_connected(self, peer: PeerID) -> bool:
        """Whether there is probably a connection to the peer."""
        return self._book.is_connected(read_peer_id(peer.to_bytes()))

    def nearest(self, key: int, count: int) -> list[PeerID]:
        """The `count` peers in the routing table that are nearest to `key`."""
        return [peer for _, peer in self.routing_table.get_nearest_neighbors(DHTID(key), count)]

    def _met(self, sender: bytes, stated: Sender) -> None:
        """Handle the sender of a request, and what it states about itself; a visitor states no DHT id."""
        peer, hearing = peer_of(sender), self._guard.hearing
        if not stated.place:
            hearing.visits(read_peer_id(sender))
            self._forget(peer)
        elif stated.place == node_id_of(peer).to_bytes():
            hearing.stays(read_peer_id(sender))
            self._book.stated(read_peer_id(sender), stated.address)
            self._enter(peer)

    def _shunned(self, peer: PeerID) -> bool:
        return self._guard.shuns(read_peer_id(peer.to_bytes()))

    def _enter(self, peer: PeerID) -> None:
        node_id = node_id_of(peer)
        if self._shunned(peer):
            self._forget(peer)
            return
        if self._guard.hearing.is_visitor(read_peer_id(peer.to_bytes())):
            return
        if node_id not in self.routing_table:
            self._handing_over.met(peer)
        in_doubt = self._bucket_checks.enter(node_id, peer, self._silent_s)
        if in_doubt is not None:
            self.start(self.greet(in_doubt), "ping")

    def _silent_s(self, peer: PeerID) -> float:
        return self._guard.hearing.unanswering_s(read_peer_id(peer.to_bytes()))

    def _forget(self, peer: PeerID) -> bool:
        """Remove the peer from the routing table. Return whether it was in it."""
        node_id = node_id_of(peer)
        had = node_id in self.routing_table
        if had:
            del self.routing_table[node_id]
        return had

    def _lied(self, peer: PeerID, error: MessageError) -> None:
        self._guard.noted(peer.to_bytes(), error)
        self._forget(peer)

    def start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Run `work` in the background until `end`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the DHT failed in the background", exc_info=error)
