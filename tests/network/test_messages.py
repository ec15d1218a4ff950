"""What peers send is bounded before it is decoded, and every malformed message has a name."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import KeyPair
from swarmd.network.binary_addresses import read_address, write_address
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.packing import DICTIONARY_BYTES_MAX, read_bin, read_dictionary, write_bin
from swarmd.network.peer_ids import read_peer_id, write_peer_id
from swarmd.network.streams import read_reply_header

pb = pytest.importorskip("hivemind.proto.dht_pb2")
messages = pytest.importorskip("swarmd.network.messages")

KEY = bytes(range(20))
PEER = KeyPair.from_seed(bytes(32)).peer_id
READERS: list[Callable[[bytes], Any]] = [
    messages.read_ping_request,
    messages.read_ping_answer,
    messages.read_store_request,
    lambda data: messages.read_store_answer(data, 3),
    messages.read_find_request,
    lambda data: messages.read_find_answer(data, [KEY, KEY]),
    lambda data: read_dictionary(KEY, data),
    lambda data: read_bin(data, 100),
    read_peer_id,
    read_address,
    lambda data: read_reply_header(data, 100),
]


def refusal(read: Callable[..., Any], *arguments: Any) -> Malformed:
    with pytest.raises(MessageError) as raised:
        read(*arguments)
    return raised.value.reason


def dictionary(entries: list[tuple[Any, Any, float]]) -> bytes:
    """As hivemind packs it."""
    from hivemind.dht.storage import DictionaryDHTValue
    from hivemind.utils import MSGPackSerializer

    packed = DictionaryDHTValue()
    with packed.freeze():
        for subkey, value, expires in entries:
            packed.store(subkey, MSGPackSerializer.dumps(value), expires)
        return MSGPackSerializer.dumps(packed)


def nested(levels: int) -> bytes:
    """Extensions of hivemind's dictionary type inside one another, a few bytes per level."""
    import msgpack

    data = b"\x90"
    for _ in range(levels):
        data = msgpack.packb(msgpack.ExtType(0x50, data))
    return data


def found(**fields: Any) -> bytes:
    return pb.FindResponse(results=[pb.FindResult(**fields)]).SerializeToString()


def find(data: bytes) -> Any:
    return messages.read_find_answer(data, [KEY])[0]


@pytest.mark.parametrize("levels", [1, 400, 20_000])
def test_extensions_inside_extensions_are_refused_without_being_followed(levels: int) -> None:
    data = nested(levels)
    started = time.process_time()
    assert refusal(read_dictionary, KEY, data) in (Malformed.DICTIONARY, Malformed.SIZE)
    assert refusal(find, found(type=pb.FOUND_DICTIONARY, value=data)) in (
        Malformed.DICTIONARY,
        Malformed.SIZE,
    )
    assert time.process_time() - started < 1


@settings(max_examples=300)
@given(st.binary(max_size=600))
def test_any_bytes_are_a_value_or_a_named_rejection(data: bytes) -> None:
    for read in READERS:
        with suppress(MessageError):
            read(data)


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_dictionary_is_a_dictionary_or_a_named_rejection(data: st.DataObject) -> None:
    sound = dictionary([(b"a" * 60, b"v" * 300, 5.0), (b"b" * 52, b"", 6.0)])
    at = data.draw(st.integers(0, len(sound) - 1))
    damaged = sound[:at] + data.draw(st.binary(max_size=8)) + sound[at + data.draw(st.integers(0, 8)) :]
    with suppress(MessageError):
        assert all(math.isfinite(item.expires) for item in read_dictionary(KEY, damaged))


def test_what_hivemind_packs_is_read_as_it_was() -> None:
    for count in (0, 1, 15, 16, 64):
        entries = [(b"%060d" % number, b"v" * number * 60, float(number)) for number in range(count)]
        items = read_dictionary(KEY, dictionary(entries))
        assert [(item.subkey, item.value, item.expires) for item in items] == entries
    for length in (0, 255, 256, 65_535, 65_536):
        assert read_bin(write_bin(b"x" * length), 65_536) == b"x" * length


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([(b"a", b"v", float("inf"))], Malformed.NUMBER),
        ([(b"a", b"v", float("nan"))], Malformed.NUMBER),
        ([(b"a" * 61, b"v", 1.0)], Malformed.DICTIONARY),
        ([("text", b"v", 1.0)], Malformed.DICTIONARY),
        ([(b"a", "text", 1.0)], Malformed.VALUE),
        ([(b"a", b"v" * 4_097, 1.0)], Malformed.VALUE),
        ([(b"%d" % number, b"v", 1.0) for number in range(65)], Malformed.DICTIONARY),
    ],
)
def test_entries_beyond_the_bounds_are_refused(entries: Any, reason: Malformed) -> None:
    assert refusal(read_dictionary, KEY, dictionary(entries)) == reason


def test_longer_forms_of_the_same_are_refused() -> None:
    assert refusal(read_bin, b"\xc5\x00\x01v", 9) == Malformed.VALUE
    assert refusal(read_bin, b"\xc4\x01v!", 9) == Malformed.VALUE
    assert refusal(read_bin, b"\xc4\x0a" + b"v" * 10, 9) == Malformed.VALUE
    sound = dictionary([(b"a", b"v", 1.0)])
    assert refusal(read_dictionary, KEY, sound + b"\xc0") == Malformed.DICTIONARY
    assert (
        refusal(read_dictionary, KEY, sound.replace(b"\x91\x93", b"\xdc\x00\x01\x93")) == Malformed.DICTIONARY
    )
    assert refusal(read_dictionary, KEY, bytes(DICTIONARY_BYTES_MAX + 1)) == Malformed.SIZE


def test_messages_longer_than_their_kind_are_refused_before_they_are_parsed() -> None:
    bounds = {
        messages.read_ping_request: messages.PING_BYTES_MAX,
        messages.read_ping_answer: messages.PING_BYTES_MAX,
        messages.read_find_request: messages.FIND_REQUEST_BYTES_MAX,
        messages.read_store_request: messages.STORE_REQUEST_BYTES_MAX,
        find: messages.FIND_ANSWER_BYTES_MAX,
        lambda data: messages.read_store_answer(data, 1): messages.STORE_ANSWER_BYTES_MAX,
    }
    for read, bound in bounds.items():
        assert refusal(read, bytes(bound + 1)) == Malformed.SIZE
        assert refusal(read, b"\xff" * bound) == Malformed.PROTOBUF


def test_the_longest_honest_messages_are_within_the_bounds() -> None:
    from swarmd.network.packing import ENTRY_BYTES_MAX

    entries = [(b"%060d" % number, bytes(ENTRY_BYTES_MAX), 1.8e9) for number in range(64)]
    result = pb.FindResult(
        type=pb.FOUND_DICTIONARY,
        value=dictionary(entries),
        nearest_node_ids=[KEY] * 20,
        nearest_peer_ids=[write_peer_id(PEER)] * 20,
    )
    answer = pb.FindResponse(results=[result] * 4, peer=pb.NodeInfo(node_id=KEY)).SerializeToString()
    assert [len(one.items) for one in messages.read_find_answer(answer, [KEY] * 4)] == [64] * 4
    value = write_bin(bytes(messages.STORE_BYTES_MAX // 64 - 5))
    request = pb.StoreRequest(
        keys=[KEY] * 64,
        subkeys=[b"\xc0"] * 64,
        values=[value] * 64,
        expiration_time=[1.8e9] * 64,
        in_cache=[False] * 64,
        peer=pb.NodeInfo(node_id=KEY),
    )
    assert None not in messages.read_store_request(request.SerializeToString()).items


def test_answers_that_do_not_fit_their_request_are_refused() -> None:
    answer = pb.StoreResponse(store_ok=[True, False]).SerializeToString()
    assert messages.read_store_answer(answer, 2) == ((True, False), ())
    assert refusal(messages.read_store_answer, answer, 3) == Malformed.COUNT
    assert refusal(find, pb.FindResponse().SerializeToString()) == Malformed.COUNT
    assert refusal(find, found(nearest_node_ids=[KEY])) == Malformed.COUNT
    assert refusal(find, found(nearest_node_ids=[KEY] * 21, nearest_peer_ids=[b""] * 21)) == Malformed.COUNT
    assert refusal(find, found(nearest_node_ids=[b"short"], nearest_peer_ids=[b""])) == Malformed.KEY
    assert refusal(find, found(nearest_node_ids=[KEY], nearest_peer_ids=[b"x" * 38])) == Malformed.PEER_ID
    assert refusal(find, found(type=3)) == Malformed.TYPE
    assert refusal(find, found(type=pb.FOUND_REGULAR, value=b"\xa1v")) == Malformed.VALUE
    plain = found(type=pb.FOUND_REGULAR, value=b"\xc4\x01v", expiration_time=float("nan"))
    assert refusal(find, plain) == Malformed.NUMBER


def test_a_small_order_key_is_nobodys_peer_id() -> None:
    assert read_peer_id(write_peer_id(PEER)) == PEER
    assert refusal(read_peer_id, write_peer_id(PEER)[:6] + bytes(32)) == Malformed.PEER_ID


def test_one_malformed_item_spoils_itself_and_lists_that_do_not_fit_spoil_all() -> None:
    fields: dict[str, Any] = {
        "keys": [KEY, KEY],
        "subkeys": [b"\xc0", b"\xa4text"],
        "values": [b"\xc4\x01v"] * 2,
        "expiration_time": [5.0] * 2,
    }
    items = messages.read_store_request(pb.StoreRequest(**fields).SerializeToString()).items
    assert [item and (item.subkey, item.value) for item in items] == [(None, b"v"), None]
    for change in ({"keys": [KEY]}, {"subkeys": []}, {name: [] for name in fields}):
        assert refusal(
            messages.read_store_request, pb.StoreRequest(**fields | change).SerializeToString()
        ) == (Malformed.COUNT)


@pytest.mark.parametrize(
    "text",
    [
        "/ip4/192.0.2.7/tcp/41000",
        "/ip6/2001:db8::7/udp/4/quic-v1",
        "/dns4/peer.example.org/tcp/443/wss",
    ],
)
def test_addresses_are_the_same_in_text_and_in_binary_as_hiveminds(text: str) -> None:
    from hivemind.utils.multiaddr import Multiaddr

    assert write_address(text) == Multiaddr(text).to_bytes()
    assert read_address(write_address(text)) == text


def test_a_relays_id_is_a_multihash_as_go_libp2p_has_it() -> None:
    relayed = f"/ip4/192.0.2.7/tcp/1/p2p/{PEER}/p2p-circuit"
    assert read_address(write_address(relayed)) == relayed
    assert b"\xa5\x03" + bytes([38]) + write_peer_id(PEER) in write_address(relayed)


def test_a_streams_reply_of_unknown_kind_or_too_long_is_refused() -> None:
    assert refusal(read_reply_header, b"\x09\0\0\0\0", 5) == Malformed.STATUS
    assert refusal(read_reply_header, b"\0\0\0\0\x06", 5) == Malformed.SIZE
    assert refusal(read_reply_header, b"\0", 5) == Malformed.SIZE


def with_addresses(message: Any, field: int, addresses: list[bytes]) -> Any:
    messages.add_addresses(message, field, addresses)
    return message


def neighbours(count: int) -> dict[str, Any]:
    peers = [write_peer_id(KeyPair.from_seed(bytes([number]) * 32).peer_id) for number in range(count)]
    return {"nearest_node_ids": [KEY] * count, "nearest_peer_ids": peers}


def test_addresses_of_neighbours_and_publishers_come_in_their_order() -> None:
    at = [write_address("/ip4/192.0.2.7/tcp/41000"), b"", write_address("/ip6/2001:db8::1/udp/1/quic-v1")]
    entries = [(b"one", b"1", 2e9), (b"two", b"2", 2e9)]
    result = pb.FindResult(type=2, value=dictionary(entries), expiration_time=2e9, **neighbours(3))
    with_addresses(result, messages.ADDRESS, at)
    with_addresses(result, messages.PUBLISHER_ADDRESS, [b"", at[0]])
    got = find(pb.FindResponse(results=[result]).SerializeToString())
    assert got.neighbour_addresses == tuple(at)
    assert [item.subkey for item in got.items] == [b"one", b"two"]
    assert got.publisher_addresses == (b"", at[0])
    assert hivemind_sees(result) == pb.FindResult(
        type=2, value=dictionary(entries), expiration_time=2e9, **neighbours(3)
    )


def hivemind_sees(message: Any) -> Any:
    seen = type(message).FromString(message.SerializeToString())
    seen.DiscardUnknownFields()
    return seen


def test_unknown_addresses_take_no_bytes() -> None:
    result = pb.FindResult(**neighbours(3))
    before = result.SerializeToString()
    assert with_addresses(result, messages.ADDRESS, [b""] * 3).SerializeToString() == before
    assert find(pb.FindResponse(results=[result]).SerializeToString()).neighbour_addresses == ()


def test_a_sender_states_its_address() -> None:
    me = with_addresses(pb.NodeInfo(node_id=KEY), messages.ADDRESS, [b"\x04\x08\x08\x08\x08\x06\x0f\xa1"])
    sender = messages.read_ping_request(pb.PingRequest(peer=me).SerializeToString())
    assert sender == messages.Sender(KEY, b"\x04\x08\x08\x08\x08\x06\x0f\xa1")
    assert (
        messages.read_find_request(pb.FindRequest(keys=[KEY], peer=me).SerializeToString()).sender == sender
    )
    old = pb.NodeInfo(node_id=KEY)
    assert messages.read_ping_request(pb.PingRequest(peer=old).SerializeToString()) == messages.Sender(
        KEY, b""
    )


@pytest.mark.parametrize(
    ("field", "addresses", "reason"),
    [
        (16, [b"a"] * 2, Malformed.COUNT),
        (16, [b"a"] * 4, Malformed.COUNT),
        (17, [b"a"], Malformed.COUNT),
        (16, [bytes(25)] * 3, Malformed.ADDRESS),
        (99, [b"a"] * 1_025, Malformed.SIZE),
    ],
)
def test_addresses_are_bounded_and_one_for_each_name(
    field: int, addresses: list[bytes], reason: Malformed
) -> None:
    result = with_addresses(pb.FindResult(**neighbours(3)), field, addresses)
    assert refusal(find, pb.FindResponse(results=[result]).SerializeToString()) is reason


def test_an_address_that_is_a_number_is_refused() -> None:
    result = pb.FindResult(**neighbours(1))
    result.MergeFromString(b"\x80\x01\x07")  # field 16 as a varint
    assert refusal(find, pb.FindResponse(results=[result]).SerializeToString()) is Malformed.TYPE


@pytest.mark.parametrize(("subkey", "names"), [(write_bin(b"s"), True), (b"s", False)])
def test_names_are_given_only_if_all_items_are_sound(subkey: bytes, names: bool) -> None:
    value = write_bin(b"v")
    request = pb.StoreRequest(
        keys=[KEY, KEY], subkeys=[write_bin(b"s"), subkey], values=[value] * 2, expiration_time=[1.0] * 2
    )
    messages.ask_for_names(request)
    assert messages.read_store_request(request.SerializeToString()).names is names


def stored(*names: Any, keys: int = 2) -> Any:
    answer = pb.StoreResponse(store_ok=[True])
    messages.add_names(answer, names)
    return messages.read_store_answer(answer.SerializeToString(), 1, [KEY] * keys)


def test_an_answer_to_a_store_names_nodes_near_each_key() -> None:
    at = write_address("/ip4/192.0.2.7/tcp/41000")
    near = with_addresses(pb.FindResult(**neighbours(2)), messages.ADDRESS, [at, b""])
    held, (first, second) = stored(near, pb.FindResult(**neighbours(1)))
    assert held == (True,)
    assert first.neighbours == tuple(neighbours(2)["nearest_peer_ids"])
    assert first.neighbour_addresses == (at, b"")
    assert second.neighbours == tuple(neighbours(1)["nearest_peer_ids"])


def test_names_in_an_answer_to_a_store_are_bounded_and_one_for_each_key_without_values() -> None:
    assert refusal(stored, pb.FindResult()) is Malformed.COUNT
    value = pb.FindResult(type=1, value=b"\xc4\x00", expiration_time=2e9)
    assert refusal(stored, pb.FindResult(), value) is Malformed.TYPE
    held = pb.FindResult(type=2, value=dictionary([(b"one", b"1", 2e9)]), expiration_time=2e9)
    assert refusal(stored, pb.FindResult(), held) is Malformed.TYPE
    many = pb.FindResult(**neighbours(20))
    many.MergeFromString(many.SerializeToString())
    assert refusal(stored, pb.FindResult(), many) is Malformed.COUNT
    assert refusal(partial(stored, keys=4), *[pb.FindResult(**neighbours(20))] * 4) is Malformed.SIZE
    assert refusal(stored, pb.FindResult(nearest_node_ids=[b"x"], nearest_peer_ids=[b"x"])) is not None


def test_names_that_are_no_messages_are_refused() -> None:
    answer = pb.StoreResponse(store_ok=[True])
    answer.MergeFromString(b"\x92\x01\x02\xff\xff")
    assert refusal(messages.read_store_answer, answer.SerializeToString(), 1, [KEY]) is Malformed.PROTOBUF
    answer = pb.StoreResponse(store_ok=[True])
    answer.MergeFromString(b"\x90\x01\x07")  # field 18 as a varint
    assert refusal(messages.read_store_answer, answer.SerializeToString(), 1, [KEY]) is Malformed.TYPE


def test_names_that_nobody_asked_for_are_not_read() -> None:
    answer = pb.StoreResponse(store_ok=[True])
    messages.add_names(answer, [pb.FindResult(nearest_node_ids=[b"x"])])
    assert messages.read_store_answer(answer.SerializeToString(), 1) == ((True,), ())


@pytest.mark.parametrize("field", [b"\x90\x03\x00", b"\x92\x03\x00", b"\x93\x03\x94\x03"])
def test_a_megabyte_of_unknown_fields_is_refused_before_they_are_listed(
    field: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing 360,000 of them took three seconds."""

    def listed(_message: Any) -> Any:
        raise AssertionError("listed")

    monkeypatch.setattr(messages, "UnknownFieldSet", listed)
    result, me = pb.FindResult(**neighbours(1)), pb.NodeInfo(node_id=KEY)
    for message in (result, me):
        message.MergeFromString(field * (2**20 // len(field)))
    item = {"keys": [KEY], "subkeys": [b"\xc0"], "values": [b"\xc4\0"], "expiration_time": [2e9]}
    assert refusal(find, pb.FindResponse(results=[result]).SerializeToString()) is Malformed.SIZE
    assert (
        refusal(messages.read_store_request, pb.StoreRequest(peer=me, **item).SerializeToString())
        is Malformed.SIZE
    )
