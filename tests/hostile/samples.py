"""Sound messages of one small made-up swarm: what the fuzzer begins with. Pure."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

import msgpack
from hivemind.proto import dht_pb2

from protocol import KeyPair, Manifest, TaskFamily, TaskSpec
from swarmd.network import messages
from tests.hostile import bombs
from tests.hostile.bombs import pack
from tests.hostile.forging import Forger, key_of, store_request

NOW = 1_800_000_000.0
KEY = key_of(1, 1)
FAMILY = TaskFamily(name="sums", source="test", dataset="sums", config="{}", version="1", weight=1)
MANIFEST = Manifest(
    name="test",
    genesis=1_700_000_000,
    round_seconds=600,
    reward="exact",
    max_new_tokens=128,
    records_per_round_max=64,
    tasks=(FAMILY,),
)


@dataclass(frozen=True)
class Samples:
    """By kind."""

    find_keys: tuple[bytes, ...]
    ping_requests: tuple[bytes, ...]
    ping_answers: tuple[bytes, ...]
    store_requests: tuple[bytes, ...]
    store_answers: tuple[bytes, ...]
    naming_answers: tuple[bytes, ...]
    """To a request to store that asks for names near `find_keys`."""
    find_requests: tuple[bytes, ...]
    find_answers: tuple[bytes, ...]
    bins: tuple[bytes, ...]
    dictionaries: tuple[bytes, ...]
    peer_ids: tuple[bytes, ...]
    addresses: tuple[bytes, ...]
    headers: tuple[bytes, ...]


def samples() -> Samples:
    """The same at every call."""
    with mock.patch.object(time, "time", return_value=NOW):
        return _samples()


def _samples() -> Samples:
    forger = Forger(MANIFEST, seed=1)
    key = KEY
    peer = _peer_id(key)
    node = dht_pb2.NodeInfo(node_id=hashlib.sha1(peer, usedforsecurity=False).digest())
    spec = TaskSpec(source="test", dataset="sums", config="{}", version="1", seed=1, index=0)
    forged = forger.record(key, spec, "1 + 1?", [("<answer>2</answer>", 1.0), ("three", 0.0)] * 2)
    address = f"/ip4/10.0.0.1/tcp/4001/p2p/{key.peer_id}"
    announced, inline = forger.announce(forged, FAMILY), forger.inline(forged)
    status = forger.status(key, 120, addresses=(address,))
    value = bombs.dictionary(
        [(_unpacked(announced.subkey), announced.value, announced.expires)] * 2, math.inf
    )
    found = bombs.found(value, announced.expires)
    found.MergeFrom(_neighbours(node, peer))
    plain = dht_pb2.FindResult(type=dht_pb2.FOUND_REGULAR, value=inline.value, expiration_time=inline.expires)
    nothing = dht_pb2.FindResult(type=dht_pb2.NOT_FOUND)
    keys = (announced.key, inline.key)
    return Samples(
        find_keys=keys,
        ping_requests=(
            dht_pb2.PingRequest(peer=node, validate=True).SerializeToString(),
            dht_pb2.PingRequest().SerializeToString(),
        ),
        ping_answers=(dht_pb2.PingResponse(peer=node, dht_time=NOW, available=True).SerializeToString(),),
        store_requests=(
            store_request([announced, status], node),
            store_request([inline], node),
            store_request([announced] * 64, node),
        ),
        store_answers=(dht_pb2.StoreResponse(store_ok=[True, False, True], peer=node).SerializeToString(),),
        naming_answers=(_naming(node, [nothing, _neighbours(node, peer)]),),
        find_requests=(dht_pb2.FindRequest(keys=keys, peer=node).SerializeToString(),),
        find_answers=tuple(
            dht_pb2.FindResponse(results=results, peer=node).SerializeToString()
            for results in ([found, plain], [nothing, found], [nothing, nothing])
        ),
        bins=(pack(b""), pack(b"x" * 200), pack(b"x" * 4_000)),
        dictionaries=(value, bombs.dictionary([], math.inf)),
        peer_ids=(peer,),
        addresses=(
            b"\x04\x0a\x00\x00\x01\x06\x0f\xa1\xa5\x03" + bytes([len(peer)]) + peer,
            b"\x29" + bytes(15) + b"\x01\x91\x02\x0f\xa1\xcd\x03",
            b"\x36\x0bexample.org\x06\x01\xbb\xdd\x03",
        ),
        headers=(b"\x00\x00\x00\x01\x00", b"\x01\x00\x00\x00\x00", b"\x02\x00\x00\x00\x00"),
    )


def _peer_id(key: KeyPair) -> bytes:
    """As libp2p sends it: an identity multihash round the public key's protobuf."""
    return b"\x00\x24\x08\x01\x12\x20" + key.public_key


def _unpacked(packed: bytes) -> bytes:
    """What is in a MessagePack bin."""
    unpacked: bytes = msgpack.unpackb(packed)
    return unpacked


def _neighbours(node: dht_pb2.NodeInfo, peer: bytes) -> dht_pb2.FindResult:
    return dht_pb2.FindResult(nearest_node_ids=[node.node_id] * 2, nearest_peer_ids=[peer] * 2)


def _naming(node: dht_pb2.NodeInfo, results: Sequence[dht_pb2.FindResult]) -> bytes:
    answer = dht_pb2.StoreResponse(store_ok=[True], peer=node)
    messages.add_names(answer, results)
    encoded: bytes = answer.SerializeToString()
    return encoded
