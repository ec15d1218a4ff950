"""hivemind's DHT with our rules in place of its trust: the storing node, bounded and sceptical.

What differs from `hivemind.DHTNode`, and why (measured with hivemind 1.1.12):
- values live in a `Shelf` with bounds (hivemind's grow without end) and pass `StorageRules` on the way in and
  out; a dictionary that holds refused entries is read without them, not refused as a whole;
- node ids are derived from peer ids, so that nobody can settle next to a key of their choice;
- requests are bounded in entries: a 4 MiB message could otherwise hold the event loop for seconds;
- handing values to a newcomer is cut into messages: one of 4 MiB or more would cost it its place in the
  routing table;
- caches are off, because cached reads of a growing dictionary were stale 36 times of 36;
- the RPC names carry this class's name, so plain hivemind nodes and we do not meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with hivemind
from hivemind.dht.crypto import DHTRecord, RecordValidatorBase
from hivemind.dht.node import DHTNode
from hivemind.dht.protocol import DHTProtocol
from hivemind.dht.routing import DHTID
from hivemind.dht.storage import DictionaryDHTValue
from hivemind.p2p import P2P, P2PContext, PeerID
from hivemind.proto import dht_pb2
from hivemind.utils import MSGPackSerializer
from hivemind.utils.timed_storage import ValueWithExpiration

from protocol import SHARD_ENTRIES_MAX
from swarmd.network.p2pd import P2PD_ERRORS
from swarmd.network.rules import StorageRules
from swarmd.network.shelf import Held, Shelf

REPLICAS = 5
"""Nodes that hold each value; with 5 of 16 peers killed nothing was lost."""

BUCKET_SIZE = 20
"""Peers in one bucket of the routing table (Kademlia's k)."""

RPC_SECONDS = 1.5
"""For one DHT message; a store next to stopped peers took 6.2 s with the default of 3 s, 2.0 s with 1 s."""

RPCS_AT_ONCE = 64
"""Outgoing DHT messages under way."""

STORE_ITEMS_MAX = 64
"""Values in one store message: 64 signatures are verified in about 20 ms."""

STORE_BYTES_MAX = 2**20
"""In one store message; p2pd carries less than 4 MiB."""

FIND_KEYS_MAX = 4
"""Keys in one find message: 4 full shards of statuses are 1 MiB, and verifying them first takes 0.1 s."""

Clock = Callable[[], float]


def node_id_of(peer_id: PeerID) -> DHTID:
    """The only place in the DHT that a peer may take."""
    return DHTID.generate(source=peer_id.to_bytes())


async def open_node(p2p: P2P, rules: StorageRules, shelf: Shelf, clock: Clock) -> DHTNode:
    """A DHT node of ours over a running p2pd; alone until it is told of a peer."""
    node_id = node_id_of(p2p.peer_id)
    node = await DHTNode.create(
        p2p=p2p,
        node_id=node_id,
        client_mode=True,  # registers no handlers: ours are registered below
        bucket_size=BUCKET_SIZE,
        num_replicas=REPLICAS,
        wait_timeout=RPC_SECONDS,
        parallel_rpc=RPCS_AT_ONCE,
        chunk_size=FIND_KEYS_MAX,
        backoff_rate=1.0,  # whoever was away is asked again after the same time, however often it was
        cache_locally=False,
        cache_nearest=0,
        cache_on_store=False,
        cache_refresh_before_expiry=0,
        reuse_get_requests=False,  # its table of pending requests only ever grows
    )
    node.protocol = await SwarmDHT.open(p2p, node_id, rules, shelf, clock)
    return node


class SwarmDHT(DHTProtocol):  # type: ignore[misc]  # hivemind is untyped
    """The messages between DHT nodes. Renaming this class renames them on the wire."""

    _rpc_handlers = None  # hivemind collects them once per class and would take its base class's names
    _stub_type = None
    clock: Clock

    @classmethod
    async def open(
        cls, p2p: P2P, node_id: DHTID, rules: StorageRules, shelf: Shelf, clock: Clock
    ) -> SwarmDHT:
        self: SwarmDHT = await cls.create(
            p2p,
            node_id,
            bucket_size=BUCKET_SIZE,
            depth_modulo=5,
            num_replicas=REPLICAS,
            wait_timeout=RPC_SECONDS,
            parallel_rpc=RPCS_AT_ONCE,
            client_mode=True,  # until the bounded storage is in place
            record_validator=RulesValidator(rules, clock),
        )
        self.clock = clock
        self.storage = self.cache = ShelfStorage(shelf, clock)
        self.client_mode = False
        self.node_info = dht_pb2.NodeInfo(node_id=node_id.to_bytes())
        await self.add_p2p_handlers(p2p)
        return self

    async def greet(self, peer: PeerID) -> float | None:
        """Ping, and enter each other's routing table. Returns how far ahead its clock is (s).

        None: it does not answer, or not in a way that makes sense.
        """
        asked = self.clock()
        try:
            async with self.rpc_semaphore:
                request = dht_pb2.PingRequest(peer=self.node_info)
                response = await self.get_stub(peer).rpc_ping(request, timeout=self.wait_timeout)
        except (TimeoutError, DecodeError, *P2PD_ERRORS):
            return None
        if not math.isfinite(response.dht_time):
            return None
        await self.update_routing_table(node_id_of(peer), peer, responded=True)
        return float(response.dht_time) - (asked + self.clock()) / 2

    async def call_ping(
        self,
        peer: PeerID,
        validate: bool = False,  # noqa: ARG002  hivemind's signature
        strict: bool = True,  # noqa: ARG002
    ) -> DHTID | None:
        """Whether a peer in a full routing table is still there; hivemind asks in a task nobody waits for."""
        if await self.greet(peer) is None:
            await self.update_routing_table(None, peer, responded=False)
            return None
        return node_id_of(peer)

    async def rpc_ping(self, request: dht_pb2.PingRequest, context: P2PContext) -> dht_pb2.PingResponse:
        response = await super().rpc_ping(request, context)
        response.dht_time = self.clock()
        return response

    async def rpc_store(self, request: dht_pb2.StoreRequest, context: P2PContext) -> dht_pb2.StoreResponse:
        """Refuses whole dictionaries and long requests: our peers send neither."""
        _forget_false_place(request, context)
        if len(request.keys) > STORE_ITEMS_MAX or self.IS_DICTIONARY in request.subkeys:
            return dht_pb2.StoreResponse(store_ok=[False] * len(request.keys), peer=self.node_info)
        return await super().rpc_store(request, context)

    async def rpc_find(self, request: dht_pb2.FindRequest, context: P2PContext) -> dht_pb2.FindResponse:
        _forget_false_place(request, context)
        del request.keys[FIND_KEYS_MAX:]
        return await super().rpc_find(request, context)

    async def call_store(
        self,
        peer: PeerID,
        keys: Sequence[DHTID],
        values: Sequence[bytes | Mapping[bytes, Held]],
        expiration_time: Sequence[float],
        subkeys: Sequence[bytes | None] | None = None,
        in_cache: bool = False,  # noqa: ARG002  hivemind passes it; here the cache is the storage
    ) -> list[bool] | None:
        """As hivemind's, in messages of bounded size; `ShelfStorage.items` mappings go entry by entry.

        A peer that refuses everything counts as one that does not answer: the next nearest is asked, and the
        last answer, which is the one that hivemind reports, is not a single peer's refusal.
        """
        items: list[tuple[DHTID, bytes | None, bytes, float]] = []
        for key, value, expires, subkey in zip(
            keys, values, expiration_time, subkeys or [None] * len(keys), strict=True
        ):
            if isinstance(value, bytes):
                items.append((key, subkey, value, expires))
            else:
                items.extend((key, sub, held.value, held.expires) for sub, held in value.items())
        answers: list[bool] = []
        for batch in _messages(items):
            batch_keys, batch_subkeys, batch_values, batch_expires = zip(*batch, strict=True)
            stored = await super().call_store(peer, batch_keys, batch_values, batch_expires, batch_subkeys)
            if stored is None:
                return None
            answers.extend(stored)
        return answers if any(answers) else None

    async def call_find(self, peer: PeerID, keys: Collection[DHTID]) -> dict[DHTID, Any] | None:
        """As hivemind's, without what a liar could add: later expiries, peers in places not their own."""
        found = await super().call_find(peer, keys)
        if found is None:
            return None
        return {key: (_own_expiry(item), _in_place(nearest)) for key, (item, nearest) in found.items()}

    async def update_routing_table(
        self, node_id: DHTID | None, peer_id: PeerID, responded: bool = True
    ) -> None:
        if node_id is None or node_id == node_id_of(peer_id):
            await super().update_routing_table(node_id_of(peer_id), peer_id, responded=responded)

    def _validate_dictionary(self, key_bytes: bytes, dictionary: DictionaryDHTValue) -> bool:
        """Drops refused entries; False if nothing is left, or more is offered than any shard may hold."""
        if len(dictionary.data) > SHARD_ENTRIES_MAX:
            return False
        for subkey, (value, expires) in list(dictionary.data.items()):
            if not self._validate_record(key_bytes, self.serializer.dumps(subkey), value, expires):
                del dictionary[subkey]
        return bool(dictionary.data)


class RulesValidator(RecordValidatorBase):  # type: ignore[misc]  # hivemind is untyped
    """`StorageRules` as hivemind calls them: with hashed keys, and subkeys and values in msgpack."""

    def __init__(self, rules: StorageRules, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock

    def validate(self, record: DHTRecord) -> bool:
        value = _unpacked(record.value)
        subkey = None
        if record.subkey != DHTProtocol.IS_REGULAR_VALUE:
            subkey = _unpacked(record.subkey)
            if subkey is None:
                return False
        if value is None:
            return False
        return self._rules.accept(record.key, subkey, value, record.expiration_time, self._clock())


class ShelfStorage:
    """A `Shelf` in the shape of hivemind's `DHTLocalStorage`; values stay in msgpack, as they travel."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    def store(self, key: DHTID, value: bytes, expiration_time: float, subkey: bytes | None = None) -> bool:
        if subkey is not None:
            return self.store_subkey(key, subkey, value, expiration_time)
        return self._shelf.put_plain(key.to_bytes(), value, expiration_time, self._clock())

    def store_subkey(self, key: DHTID, subkey: bytes, value: bytes, expiration_time: float) -> bool:
        return self._shelf.put_entry(key.to_bytes(), subkey, value, expiration_time, self._clock())

    def get(self, key: DHTID) -> ValueWithExpiration | None:
        now, name = self._clock(), key.to_bytes()
        plain = self._shelf.plain(name, now)
        if plain is not None:
            return ValueWithExpiration(plain.value, plain.expires)
        entries = self._shelf.entries(name, now)
        if not entries:
            return None
        dictionary = DictionaryDHTValue()
        for subkey, held in entries.items():
            dictionary.store(subkey, held.value, held.expires)
        return ValueWithExpiration(dictionary, dictionary.latest_expiration_time)

    def items(self) -> Iterator[tuple[DHTID, ValueWithExpiration]]:
        """For handing over to newcomers: dictionaries as mappings, which only `SwarmDHT.call_store` takes."""
        now = self._clock()
        for name in self._shelf.held_keys():
            value = self._shelf.plain(name, now) or self._shelf.entries(name, now)
            if isinstance(value, Held):
                yield DHTID.from_bytes(name), ValueWithExpiration(value.value, value.expires)
            elif value:
                latest = max(held.expires for held in value.values())
                yield DHTID.from_bytes(name), ValueWithExpiration(value, latest)

    def __contains__(self, key: DHTID) -> bool:
        return self.get(key) is not None


def _unpacked(packed: object) -> bytes | None:
    """The bytes in a msgpack bin 8, 16 or 32 in its one shortest form; None for everything else."""
    if not isinstance(packed, bytes):
        return None
    for header_bytes in (2, 3, 5):
        if MSGPackSerializer.dumps(packed[header_bytes:]) == packed:
            return packed[header_bytes:]
    return None


def _messages(items: Sequence[tuple[DHTID, bytes | None, bytes, float]]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    size = 0
    for item in items:
        if batch and (len(batch) == STORE_ITEMS_MAX or size + len(item[2]) > STORE_BYTES_MAX):
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += len(item[2])
    if batch:
        yield batch


def _own_expiry(item: ValueWithExpiration | None) -> ValueWithExpiration | None:
    if item is None or not isinstance(item.value, DictionaryDHTValue):
        return item
    return ValueWithExpiration(item.value, max(entry.expiration_time for entry in item.value.data.values()))


def _forget_false_place(request: dht_pb2.StoreRequest | dht_pb2.FindRequest, context: P2PContext) -> None:
    """hivemind reads a sender's place in a task nobody waits for: what makes no sense would end up, as a
    traceback, in the operator's log."""
    if request.peer.node_id != node_id_of(context.remote_id).to_bytes():
        request.ClearField("peer")


def _in_place(nearest: Mapping[DHTID, PeerID]) -> dict[DHTID, PeerID]:
    return {node_id: peer for node_id, peer in nearest.items() if node_id == node_id_of(peer)}
