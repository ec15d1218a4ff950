"""hivemind's DHT with our rules instead of its trust: a storing node that is bounded and sceptical.

What differs from `hivemind.DHTNode`, and why (measured with hivemind 1.1.12):
- every message is read by `messages.py`, which bounds it before it decodes it;
- values live in a `Shelf` with bounds (hivemind's grow without end) and pass `StorageRules` on the way in and
  out; a dictionary that holds refused entries is read without them, not refused as a whole;
- node ids are derived from peer ids, so that nobody can settle next to a key of their choice;
- values are handed to a newcomer in the background, in messages of bounded size, at a bounded pace;
- caches are off, because cached reads of a growing dictionary were stale 36 times of 36;
- the RPC names carry this class's name, so plain hivemind nodes and we do not meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

import structlog
from hivemind.dht.node import DHTNode
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.routing import DHTID
from hivemind.p2p import P2P, PeerID
from hivemind.proto import dht_pb2

from swarmd.network.control import P2PD_ERRORS, Control, Handler
from swarmd.network.dht_ids import node_id_of, peer_of
from swarmd.network.dht_keeping import Keeping
from swarmd.network.dht_storage import BinSerializer, Clock, RulesValidator, ShelfStorage
from swarmd.network.guard import Guard
from swarmd.network.handing_over import REPLICAS, HandingOver, Packed, messages_of, packed_subkey
from swarmd.network.malformed import MessageError
from swarmd.network.messages import (
    FIND_ANSWER_BYTES_MAX,
    FIND_KEYS_MAX,
    NEIGHBOURS_MAX,
    PING_BYTES_MAX,
    STORE_ANSWER_BYTES_MAX,
    Found,
    read_find_answer,
    read_find_request,
    read_ping_answer,
    read_ping_request,
    read_store_answer,
    read_store_request,
)
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Shelf
from swarmd.network.streams import BusyError

log = structlog.get_logger(__name__)

BUCKET_SIZE = NEIGHBOURS_MAX
"""Peers in one bucket of the routing table (Kademlia's k)."""

RPC_SECONDS = 1.5
"""For one DHT message; a store next to stopped peers took 6.2 s with the default of 3 s, 2.0 s with 1 s."""

RPCS_AT_ONCE = 64
"""Outgoing DHT messages at once."""

PING, STORE, FIND = "SwarmDHT.rpc_ping", "SwarmDHT.rpc_store", "SwarmDHT.rpc_find"
"""Protocol ids of the three calls."""


async def open_node(
    p2p: P2P, control: Control, rules: StorageRules, shelf: Shelf, guard: Guard, clock: Clock
) -> DHTNode:
    """A DHT node of ours over a running p2pd; alone until it is told of a peer."""
    node_id = node_id_of(p2p.peer_id)
    node = await DHTNode.create(
        p2p=p2p,
        node_id=node_id,
        client_mode=True,  # registers no handlers: ours are registered by the session
        bucket_size=BUCKET_SIZE,
        num_replicas=REPLICAS,
        wait_timeout=RPC_SECONDS,
        parallel_rpc=RPCS_AT_ONCE,
        chunk_size=FIND_KEYS_MAX,
        backoff_rate=1.0,  # a peer is asked again after the same time, however often it was away
        cache_locally=False,
        cache_nearest=0,
        cache_on_store=False,
        cache_refresh_before_expiry=0,
        reuse_get_requests=False,  # its table of pending requests only ever grows
    )
    node.protocol = await SwarmDHT.open(p2p, control, rules, shelf, guard, clock)
    return node


class SwarmDHT(DHTProtocol):  # type: ignore[misc]  # hivemind is untyped
    """The messages between DHT nodes. Renaming this class renames them on the wire."""

    serializer = BinSerializer
    _rpc_handlers = None  # hivemind collects them once per class and would take its base class's names
    _stub_type = None
    _control: Control
    _keeping: Keeping
    _guard: Guard
    _clock: Clock
    _tasks: set[asyncio.Task[Any]]
    _handing_over: HandingOver

    @classmethod
    async def open(
        cls, p2p: P2P, control: Control, rules: StorageRules, shelf: Shelf, guard: Guard, clock: Clock
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
            client_mode=True,  # hivemind's handlers decode before they ask: they are never registered
            record_validator=RulesValidator(rules, clock),
        )
        self._control, self._guard, self._clock = control, guard, clock
        self._keeping = Keeping(rules, shelf, guard, clock)
        self.storage = self.cache = ShelfStorage(shelf, clock)
        self.node_info = dht_pb2.NodeInfo(node_id=node_id.to_bytes())
        self._tasks = set()
        self._handing_over = HandingOver(node_id, self.routing_table, shelf, clock, self._store)
        self._start(self._handing_over.run(), "handing over to newcomers")
        return self

    @property
    def handlers(self) -> dict[str, Handler]:
        """What is answered, by protocol id."""
        return {PING: self._on_ping, STORE: self._on_store, FIND: self._on_find}

    def hide(self) -> None:
        """Send no place of ours with requests (SPEC section 7.6.3)."""
        self.node_info = dht_pb2.NodeInfo()

    def end(self) -> None:
        """Stop what runs in the background."""
        for task in self._tasks:
            task.cancel()

    # What peers ask ----------------------------------------------------------------------------------

    def _on_ping(self, data: bytes, sender: bytes) -> bytes:
        self._met(sender, read_ping_request(data))
        return self._packed(dht_pb2.PingResponse(peer=self.node_info, dht_time=self._clock()))

    def _on_store(self, data: bytes, sender: bytes) -> bytes:
        request = read_store_request(data)
        self._met(sender, request.place)
        kept = self._keeping.keep(request.items, sender)
        return self._packed(dht_pb2.StoreResponse(store_ok=kept, peer=self.node_info))

    def _on_find(self, data: bytes, sender: bytes) -> bytes:
        request = read_find_request(data)
        self._met(sender, request.place)
        results = [self._found(key, node_id_of(peer_of(sender))) for key in request.keys]
        return self._packed(dht_pb2.FindResponse(results=results, peer=self.node_info))

    def _found(self, name: bytes, asking: DHTID) -> dht_pb2.FindResult:
        key = DHTID.from_bytes(name)
        nearest = self.routing_table.get_nearest_neighbors(key, k=NEIGHBOURS_MAX, exclude=asking)
        result = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[node_id.to_bytes() for node_id, _ in nearest],
            nearest_peer_ids=[peer.to_bytes() for _, peer in nearest],
        )
        held = self.storage.get(key)
        if held is not None:
            plain = isinstance(held.value, bytes)
            result.type = dht_pb2.FOUND_REGULAR if plain else dht_pb2.FOUND_DICTIONARY
            result.value = held.value if plain else self.serializer.dumps(held.value)
            result.expiration_time = held.expiration_time
        return result

    @staticmethod
    def _packed(answer: Any) -> bytes:
        return answer.SerializeToString()  # type: ignore[no-any-return]

    # What peers are asked ----------------------------------------------------------------------------

    async def _call(self, peer: PeerID, protocol: str, request: Any, bytes_max: int) -> bytes | None:
        """The answer, not yet decoded. None: the peer does not answer (and loses its place), or is busy."""
        hearing, name = self._guard.hearing, read_peer_id(peer.to_bytes())
        if self._guard.shuns(name) or name in hearing.away:
            self._forget(peer)
            return None
        answer = None
        try:
            async with self.rpc_semaphore, asyncio.timeout(self.wait_timeout):
                answer = await self._control.call(
                    peer.to_bytes(), protocol, request.SerializeToString(), bytes_max
                )
        except BusyError:
            pass
        except MessageError as error:
            self._lied(peer, error)
        except (TimeoutError, *P2PD_ERRORS) as error:
            log.debug("no answer", peer=str(peer), protocol=protocol, error=str(error))
            self._forget(peer)
            hearing.unanswered(name)
            return None
        hearing.answered(name)
        return answer

    async def greet(self, peer: PeerID) -> float | None:
        """Ping, and enter each other's routing table. Returns how far ahead its clock is (s).

        None: it does not answer, or not in a way that makes sense.
        """
        asked = self._clock()
        answer = await self._call(peer, PING, dht_pb2.PingRequest(peer=self.node_info), PING_BYTES_MAX)
        if answer is None:
            return None
        try:
            its_time = read_ping_answer(answer)
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        return its_time - (asked + self._clock()) / 2

    async def call_ping(
        self,
        peer: PeerID,
        validate: bool = False,  # noqa: ARG002  hivemind's signature
        strict: bool = True,  # noqa: ARG002
    ) -> DHTID | None:
        """Whether a peer is still there."""
        return None if await self.greet(peer) is None else node_id_of(peer)

    async def call_store(
        self,
        peer: PeerID,
        keys: Sequence[DHTID],
        values: Sequence[bytes],
        expiration_time: Sequence[float],
        subkeys: Sequence[bytes | None],
        in_cache: bool = False,  # noqa: ARG002  hivemind passes it; here the cache is the storage
    ) -> list[bool] | None:
        """As in hivemind, but in messages of bounded size. `values` are MessagePack, `subkeys` are not.

        A peer that refuses everything counts as one that does not answer, so the next nearest is asked.
        hivemind reports the last answer, and that must not be a single peer's refusal.
        """
        items = [
            (key.to_bytes(), packed_subkey(subkey), value, expires)
            for key, subkey, value, expires in zip(keys, subkeys, values, expiration_time, strict=True)
        ]
        answers: list[bool] = []
        for batch in messages_of(items):
            stored = await self._store(peer, batch)
            if stored is None:
                return None
            answers.extend(stored)
        return answers if any(answers) else None

    async def _store(self, peer: PeerID, batch: Sequence[Packed]) -> tuple[bool, ...] | None:
        names, subkeys, values, expires = zip(*batch, strict=True)
        request = dht_pb2.StoreRequest(
            keys=names,
            subkeys=subkeys,
            values=values,
            expiration_time=expires,
            in_cache=[False] * len(batch),
            peer=self.node_info,
        )
        answer = await self._call(peer, STORE, request, STORE_ANSWER_BYTES_MAX)
        if answer is None:
            return None
        try:
            stored = read_store_answer(answer, len(batch))
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        if any(stored):
            self._guard.kept_ours(peer.to_bytes())
        else:
            self._guard.refused_ours(peer.to_bytes())
        return stored

    async def call_find(self, peer: PeerID, keys: Collection[DHTID]) -> dict[DHTID, Any] | None:
        """What a peer says about each key: the values that pass our rules, and neighbours in their places.

        It asks in messages of bounded size: hivemind asks for the square root of all its keys at once.
        """
        wanted = list(keys)
        found: dict[DHTID, Any] = {}
        for start in range(0, len(wanted), FIND_KEYS_MAX):
            some = await self._find(peer, wanted[start : start + FIND_KEYS_MAX])
            if some is None:
                return None
            found |= some
        return found

    async def _find(self, peer: PeerID, keys: Sequence[DHTID]) -> dict[DHTID, Any] | None:
        names = [key.to_bytes() for key in keys]
        request = dht_pb2.FindRequest(keys=names, peer=self.node_info)
        answer = await self._call(peer, FIND, request, FIND_ANSWER_BYTES_MAX)
        if answer is None:
            return None
        try:
            found = read_find_answer(answer, names)
        except MessageError as error:
            self._lied(peer, error)
            return None
        self._enter(peer)
        return {
            key: (self._keeping.believed(result, peer.to_bytes()), self._neighbours(result))
            for key, result in zip(keys, found, strict=True)
        }

    def _neighbours(self, found: Found) -> dict[DHTID, PeerID]:
        """The neighbours without this peer itself, at which hivemind's search would fail."""
        peers = map(peer_of, found.neighbours)
        return {
            node_id_of(peer): peer for peer in peers if peer != self.p2p.peer_id and not self._shunned(peer)
        }

    # The routing table -------------------------------------------------------------------------------

    async def update_routing_table(
        self, node_id: DHTID | None, peer_id: PeerID, responded: bool = True
    ) -> None:
        """As in hivemind, for the parts of it that still call this."""
        if not responded:
            self._forget(peer_id)
        elif node_id in (None, node_id_of(peer_id)):
            self._enter(peer_id)

    def _met(self, sender: bytes, place: bytes) -> None:
        """A request came. `place` is the DHT id that its sender states; a visitor states none."""
        peer, hearing = peer_of(sender), self._guard.hearing
        if not place:
            hearing.visits(read_peer_id(sender))
            self._forget(peer)
        elif place == node_id_of(peer).to_bytes():
            hearing.stays(read_peer_id(sender))
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
        oldest = self.routing_table.add_or_update_node(node_id, peer)
        self._bound_replacements(node_id)
        if oldest is not None:
            self._start(self.call_ping(oldest[1]), "ping")

    def _bound_replacements(self, node_id: DHTID) -> None:
        """Keep the last few peers that found no place in a full bucket: hivemind remembers them all."""
        table = self.routing_table
        waiting = table.buckets[table.get_bucket_index(node_id)].replacement_nodes
        while len(waiting) > BUCKET_SIZE:
            del table[next(iter(waiting))]

    def _forget(self, peer: PeerID) -> None:
        node_id = node_id_of(peer)
        if node_id in self.routing_table:
            del self.routing_table[node_id]

    def _lied(self, peer: PeerID, error: MessageError) -> None:
        self._guard.noted(peer.to_bytes(), error)
        self._forget(peer)

    def _start(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the DHT failed in the background", exc_info=error)
