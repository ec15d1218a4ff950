"""Strict parsing of the DHT's messages: bytes in, a value or a named rejection out. Pure.

Every reader accepts arbitrary bytes and raises only `MessageError`. It checks the length first, counts before
iterating over a list, and each field before using it. Nothing is decoded twice or recursively.

The formats are those of hivemind 1.1 (SPEC section 7.6). Protobuf is parsed here, the MessagePack inside it
in `packing.py`, and the bytes of streams in `streams.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]  # comes with hivemind
from google.protobuf.unknown_fields import UnknownFieldSet  # type: ignore[import-untyped]
from hivemind.proto import dht_pb2

from protocol import RECORD_BYTES_MAX
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.packing import (
    DICTIONARY_BYTES_MAX,
    ENTRY_BYTES_MAX,
    SUBKEY_BYTES_MAX,
    Item,
    read_bin,
    read_dictionary,
)
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.varint import write_varint

DHT_ID_BYTES = 20
"""Bytes of a SHA-1, as in hivemind."""

NEIGHBOURS_MAX = 20
"""Neighbours returned for one key: Kademlia's k."""

FIND_KEYS_MAX = 4
"""Keys in one find request. Four full shards of statuses are 1 MiB, and verifying them takes 0.1 s."""

STORE_ITEMS_MAX = 64
"""Values in one store request. Verifying 64 signatures takes about 20 ms."""

STORE_BYTES_MAX = 2**20
"""Bytes of all values in one store request; p2pd carries less than 4 MiB."""

PING_BYTES_MAX = 256
"""Bytes of a ping's request or answer: an id of 20 bytes, a number and a flag total 36."""

FIND_REQUEST_BYTES_MAX = 512
"""Bytes of a find request: four keys and the sender's id total 112."""

STORE_REQUEST_BYTES_MAX = STORE_BYTES_MAX + STORE_ITEMS_MAX * 128 + 512
"""Besides the values: key, subkey, expiry and flag of each item total 100, the sender's id 24."""

STORE_ANSWER_BYTES_MAX = 512
"""One byte for each of 64 items and the sender's id, or two bytes each if not packed."""

NAMING_ANSWER_BYTES_MAX = STORE_ANSWER_BYTES_MAX + 4_096
"""The same if it names nodes: eight near each of four keys, each of 73 bytes or 87, are 2.8 KB."""

FIND_ANSWER_BYTES_MAX = FIND_KEYS_MAX * (DICTIONARY_BYTES_MAX + 2_048) + 512
"""Four full shards of the largest entries (1.03 MiB), each with 20 neighbours of 62 bytes and as many
addresses of 27. Those entries are statuses; announcements, which have publishers' addresses, are shorter.
"""

ADDRESS_BYTES_MAX = 24
"""Bytes of the multiaddr that a node states, or names with a peer: /ip6/.../udp/.../quic-v1 takes 23."""

ADDRESS, PUBLISHER_ADDRESS, NAMES = 16, 17, 18
"""Our own protobuf fields. hivemind's end at 7, and it ignores others. NAMES asks to name nodes in a request
to store, and holds them in its answer.
"""

UNKNOWN_BYTES_MAX = 4_096
"""Bytes of the fields of one message that hivemind does not know. The addresses of 20 neighbours and 64
publishers take 2,268. Listing such fields takes 10 us each, so a megabyte of them would take seconds.
"""

_VARINT, _LENGTH_DELIMITED = 0, 2  # wire types of protobuf
_PACKED_NONE = b"\xc0"

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Sender:
    """What the sender of a request states about itself: b"" for what it leaves out."""

    place: bytes
    """Its DHT id."""
    address: bytes
    """The binary multiaddr at which it can be dialled."""


@dataclass(frozen=True, slots=True)
class StoreRequest:
    """Items to store, with None for each malformed one."""

    items: tuple[Item | None, ...]
    sender: Sender
    names: bool = False
    """Whether the answer should name nodes near the keys: not if an item is malformed, as its key may be."""


@dataclass(frozen=True, slots=True)
class FindRequest:
    keys: tuple[bytes, ...]
    sender: Sender


@dataclass(frozen=True, slots=True)
class Found:
    """One node's answer about one key: unverified values, and libp2p ids of peers nearer to the key.

    The addresses are binary multiaddrs, one for each neighbour or item, or none at all.
    """

    items: tuple[Item, ...]
    neighbours: tuple[bytes, ...]
    neighbour_addresses: tuple[bytes, ...] = ()
    publisher_addresses: tuple[bytes, ...] = ()


# The DHT's messages ----------------------------------------------------------------------------------


def read_ping_request(data: bytes) -> Sender:
    return _sender(_parsed(dht_pb2.PingRequest, data, PING_BYTES_MAX))


def read_ping_answer(data: bytes) -> float:
    """Return the time on the peer's clock in Unix seconds."""
    answer = _parsed(dht_pb2.PingResponse, data, PING_BYTES_MAX)
    return _finite(answer.dht_time)


def read_store_request(data: bytes) -> StoreRequest:
    request = _parsed(dht_pb2.StoreRequest, data, STORE_REQUEST_BYTES_MAX)
    lists = (request.keys, request.subkeys, request.values, request.expiration_time)
    count = len(request.keys)
    if not 0 < count <= STORE_ITEMS_MAX or {len(entries) for entries in lists} != {count}:
        raise MessageError(Malformed.COUNT, "the lists must have equal lengths from 1 to 64")
    items = tuple(map(_store_item, *lists))
    names = any(each.field_number == NAMES and each.data == 1 for each in _unknown_fields(request))
    return StoreRequest(items, _sender(request), names and None not in items)


def read_store_answer(
    data: bytes, count: int, keys: Sequence[bytes] = ()
) -> tuple[tuple[bool, ...], tuple[Found, ...]]:
    """Return whether each of `count` items is now held, and the nodes named near each of `keys`: none at all
    if the node does not know that it may be asked for them, or found an item malformed.
    """
    answer = _parsed(dht_pb2.StoreResponse, data, NAMING_ANSWER_BYTES_MAX if keys else STORE_ANSWER_BYTES_MAX)
    if len(answer.store_ok) != count:
        raise MessageError(Malformed.COUNT, f"{len(answer.store_ok)} answers to {count} items")
    (names,) = _byte_fields(answer, NAMES) if keys else ((),)
    if names and len(names) != len(keys):
        raise MessageError(Malformed.COUNT, f"names near {len(names)} of {len(keys)} keys")
    return tuple(answer.store_ok), tuple(map(_named, keys, names))


def _named(key: bytes, data: bytes) -> Found:
    found = _found(key, _parsed(dht_pb2.FindResult, data, NAMING_ANSWER_BYTES_MAX))
    if found.items:
        raise MessageError(Malformed.TYPE, "values in an answer to a request to store")
    return found


def read_find_request(data: bytes) -> FindRequest:
    request = _parsed(dht_pb2.FindRequest, data, FIND_REQUEST_BYTES_MAX)
    if not 0 < len(request.keys) <= FIND_KEYS_MAX:
        raise MessageError(Malformed.COUNT, f"{len(request.keys)} keys in one request")
    return FindRequest(tuple(map(_dht_id, request.keys)), _sender(request))


def read_find_answer(data: bytes, keys: Sequence[bytes]) -> tuple[Found, ...]:
    """Return what a node found under each of `keys`."""
    answer = _parsed(dht_pb2.FindResponse, data, FIND_ANSWER_BYTES_MAX)
    if len(answer.results) != len(keys):
        raise MessageError(Malformed.COUNT, f"{len(answer.results)} results for {len(keys)} keys")
    return tuple(_found(key, result) for key, result in zip(keys, answer.results, strict=True))


def _found(key: bytes, result: Any) -> Found:
    ids, peers = result.nearest_node_ids, result.nearest_peer_ids
    if len(ids) != len(peers) or len(ids) > NEIGHBOURS_MAX:
        raise MessageError(Malformed.COUNT, f"{len(ids)} ids for {len(peers)} neighbours")
    for node_id in ids:
        _dht_id(node_id)
    items, neighbours = _found_items(key, result), tuple(map(_neighbour, peers))
    of_neighbours, of_publishers = _addresses(result, ADDRESS, PUBLISHER_ADDRESS)
    return Found(
        items,
        neighbours,
        _one_each(of_neighbours, len(neighbours)),
        _one_each(of_publishers, len(items)),
    )


def _found_items(key: bytes, result: Any) -> tuple[Item, ...]:
    if result.type == dht_pb2.NOT_FOUND:
        return ()
    if result.type == dht_pb2.FOUND_REGULAR:
        value = read_bin(result.value, RECORD_BYTES_MAX)
        return (Item(key, None, value, _finite(result.expiration_time)),)
    if result.type == dht_pb2.FOUND_DICTIONARY:
        return read_dictionary(key, result.value)
    raise MessageError(Malformed.TYPE, f"unknown type of result {result.type}")


def _store_item(key: bytes, subkey: bytes, value: bytes, expires: float) -> Item | None:
    try:
        if subkey == _PACKED_NONE:
            return Item(_dht_id(key), None, read_bin(value, RECORD_BYTES_MAX), _finite(expires))
        name = read_bin(subkey, SUBKEY_BYTES_MAX)
        return Item(_dht_id(key), name, read_bin(value, ENTRY_BYTES_MAX), _finite(expires))
    except MessageError:
        return None


def _sender(request: Any) -> Sender:
    place: bytes = request.peer.node_id
    (addresses,) = _addresses(request.peer, ADDRESS)
    return Sender(_dht_id(place) if place else b"", addresses[0] if addresses else b"")


def _parsed(kind: type[M], data: bytes, bytes_max: int) -> M:
    if len(data) > bytes_max:
        raise MessageError(Malformed.SIZE, f"{len(data)} bytes where at most {bytes_max} are allowed")
    try:
        return kind.FromString(data)  # type: ignore[no-any-return]
    except DecodeError as error:
        raise MessageError(Malformed.PROTOBUF, f"not a {kind.__name__}") from error


def add_addresses(message: Message, field: int, addresses: Sequence[bytes]) -> None:
    """Put `addresses` into one of our own fields of hivemind's message, unless all are unknown (b"")."""
    if any(addresses):
        _add(message, field, addresses)


def ask_for_names(request: Message) -> None:
    """Put into a request to store that its answer should name nodes near the keys."""
    request.MergeFromString(write_varint(NAMES << 3 | _VARINT) + b"\1")


def add_names(answer: Message, results: Iterable[Message]) -> None:
    """Put named nodes into the answer to such a request: a result for each different key, in order."""
    _add(answer, NAMES, [result.SerializeToString() for result in results])


def _add(message: Message, field: int, values: Iterable[bytes]) -> None:
    tag = write_varint(field << 3 | _LENGTH_DELIMITED)
    message.MergeFromString(b"".join(tag + write_varint(len(each)) + each for each in values))


def _one_each(addresses: tuple[bytes, ...], count: int) -> tuple[bytes, ...]:
    """Return one address for each of `count` peers, b"" where none is known, or no addresses at all."""
    if addresses and len(addresses) != count:
        raise MessageError(Malformed.COUNT, f"{len(addresses)} addresses of {count} peers")
    return addresses


def _addresses(message: Message, *fields: int) -> list[tuple[bytes, ...]]:
    found = _byte_fields(message, *fields)
    if any(len(each) > ADDRESS_BYTES_MAX for addresses in found for each in addresses):
        raise MessageError(Malformed.ADDRESS, f"an address of more than {ADDRESS_BYTES_MAX} bytes")
    return found


def _byte_fields(message: Message, *fields: int) -> list[tuple[bytes, ...]]:
    """Return the values of some of our own fields, in order."""
    own = [each for each in _unknown_fields(message) if each.field_number in fields]
    if any(each.wire_type != _LENGTH_DELIMITED for each in own):
        raise MessageError(Malformed.TYPE, f"one of the fields {fields} is not of bytes")
    return [tuple(bytes(each.data) for each in own if each.field_number == field) for field in fields]


def _unknown_fields(message: Message) -> Any:
    """Return the fields that hivemind does not know, ours among them."""
    known = type(message)()
    known.CopyFrom(message)
    known.DiscardUnknownFields()
    if (excess := message.ByteSize() - known.ByteSize()) > UNKNOWN_BYTES_MAX:
        raise MessageError(Malformed.SIZE, f"{excess} bytes of unknown fields")
    return UnknownFieldSet(message)


def _dht_id(data: bytes) -> bytes:
    if len(data) != DHT_ID_BYTES:
        raise MessageError(Malformed.KEY, f"an id of {len(data)} bytes")
    return data


def _neighbour(peer: bytes) -> bytes:
    read_peer_id(peer)
    return peer


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise MessageError(Malformed.NUMBER, f"the number {number}")
    return number
