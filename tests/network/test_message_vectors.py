"""`protocol/vectors/messages.json` is made without hivemind, and hivemind's own code writes the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import protocol

MESSAGES = json.loads((Path(protocol.__file__).parent / "vectors" / "messages.json").read_text())


def test_ids_are_those_of_the_routing_table() -> None:
    from hivemind.dht.routing import DHTID
    from hivemind.p2p import PeerID

    from swarmd.network.dht_ids import node_id_of

    for case in MESSAGES["ids"]["keys"]:
        assert DHTID.generate(source=bytes.fromhex(case["key"])).to_bytes().hex() == case["id"]
    for case in MESSAGES["ids"]["nodes"]:
        peer = PeerID.from_base58(case["peer_id"])
        assert (peer.to_bytes().hex(), node_id_of(peer).to_bytes().hex()) == (case["binary"], case["id"])


def test_values_are_packed_as_hivemind_packs_them() -> None:
    from hivemind.utils import MSGPackSerializer

    for case in MESSAGES["packed"]["valid"]:
        assert MSGPackSerializer.dumps(bytes(case["size"])) == bytes.fromhex(case["head"]) + bytes(
            case["size"]
        )
    for case in MESSAGES["packed"]["invalid"]:
        packed = bytes.fromhex(case["packed"])
        assert all(MSGPackSerializer.dumps(packed[head:]) != packed for head in (2, 3, 5)), case["name"]


def test_dictionaries_are_packed_as_hivemind_packs_them() -> None:
    from hivemind.dht.storage import DictionaryDHTValue
    from hivemind.utils import MSGPackSerializer

    for case in MESSAGES["dictionaries"]["valid"]:
        with DictionaryDHTValue().freeze() as dictionary:
            for entry in case["entries"]:
                value = MSGPackSerializer.dumps(bytes.fromhex(entry["value"]))
                dictionary.store(bytes.fromhex(entry["subkey"]), value, entry["expiry"])
            assert MSGPackSerializer.dumps(dictionary).hex() == case["packed"], case["name"]


@pytest.mark.parametrize("case", MESSAGES["messages"], ids=lambda case: case["message"])
def test_messages_are_those_of_hivemind(case: dict[str, Any]) -> None:
    from hivemind.proto import dht_pb2

    message = getattr(dht_pb2, case["message"]).FromString(bytes.fromhex(case["bytes"]))
    message.DiscardUnknownFields()
    assert message.SerializeToString(deterministic=True).hex() == case["bytes"]


@pytest.mark.parametrize("case", MESSAGES["with_addresses"], ids=lambda case: case["message"])
def test_hivemind_ignores_addresses_and_we_write_and_read_them(case: dict[str, Any]) -> None:
    from hivemind.proto import dht_pb2

    from swarmd.network import messages

    data, at = bytes.fromhex(case["bytes"]), bytes.fromhex(case["address"])
    message = getattr(dht_pb2, case["message"]).FromString(bytes.fromhex(case["without"]))
    seen = type(message).FromString(data)
    seen.DiscardUnknownFields()
    assert seen == message
    if case["message"] == "FindRequest":
        messages.add_addresses(message.peer, messages.ADDRESS, [at])
        assert messages.read_find_request(data).sender.address == at
    else:
        messages.add_addresses(message.results[0], messages.ADDRESS, [at, b""])
        messages.add_addresses(message.results[0], messages.PUBLISHER_ADDRESS, [at])
        (found,) = messages.read_find_answer(data, [bytes(20)])
        assert found.neighbour_addresses == (at, b"")
        assert found.publisher_addresses == (at,)
    assert message.SerializeToString(deterministic=True) == data


@pytest.mark.parametrize("case", MESSAGES["with_names"], ids=lambda case: case["message"])
def test_hivemind_ignores_names_and_we_write_and_read_them(case: dict[str, Any]) -> None:
    from hivemind.proto import dht_pb2

    from swarmd.network import messages

    data, without = bytes.fromhex(case["bytes"]), bytes.fromhex(case["without"])
    message = getattr(dht_pb2, case["message"]).FromString(without)
    seen = type(message).FromString(data)
    seen.DiscardUnknownFields()
    assert seen == message
    if case["message"] == "StoreRequest":
        messages.ask_for_names(message)
        assert messages.read_store_request(data).names
        assert not messages.read_store_request(without).names
    else:
        bob = MESSAGES["ids"]["nodes"][1]
        id_, peer = bytes.fromhex(bob["id"]), bytes.fromhex(bob["binary"])
        messages.add_names(message, [dht_pb2.FindResult(nearest_node_ids=[id_], nearest_peer_ids=[peer])])
        held, (named,) = messages.read_store_answer(data, 1, [bytes(20)])
        assert (held, named.neighbours) == ((True,), (peer,))
        assert messages.read_store_answer(without, 1, [bytes(20)]) == ((True,), ())
    assert message.SerializeToString(deterministic=True) == data


def test_frames_are_those_of_the_libp2p_daemon() -> None:
    from hivemind.proto import p2pd_pb2

    def frame(name: str) -> Any:
        raw = bytes.fromhex(MESSAGES["frames"][name])
        size, start = (raw[0], 1) if raw[0] < 0x80 else (raw[0] & 0x7F | raw[1] << 7, 2)
        assert len(raw) == start + size
        parsed = p2pd_pb2.PersistentConnectionRequest.FromString(raw[start:])
        assert parsed.SerializeToString(deterministic=True) == raw[start:]
        assert parsed.callId.hex() == MESSAGES["frames"]["call_id"]
        return parsed

    assert frame("call").callUnary.proto == "SwarmDHT.rpc_ping"
    assert frame("answer").unaryResponse.response
    assert frame("failed").unaryResponse.error == b"refused"


def test_our_own_readers_take_what_is_valid_and_refuse_what_is_not() -> None:
    from hivemind.proto import dht_pb2

    from swarmd.network import messages
    from swarmd.network.malformed import MessageError
    from swarmd.network.packing import read_bin, read_dictionary, write_bin

    for case in MESSAGES["packed"]["valid"]:
        packed = bytes.fromhex(case["head"]) + bytes(case["size"])
        assert read_bin(packed, case["size"]) == bytes(case["size"])
        assert write_bin(bytes(case["size"])) == packed
    for case in MESSAGES["packed"]["invalid"]:
        with pytest.raises(MessageError):
            read_bin(bytes.fromhex(case["packed"]), 100)
    for case in MESSAGES["dictionaries"]["valid"]:
        items = read_dictionary(bytes(20), bytes.fromhex(case["packed"]))
        found = [
            {"subkey": i.subkey.hex(), "value": i.value.hex(), "expiry": i.expires} for i in items if i.subkey
        ]
        assert found == case["entries"], case["name"]
    for case in MESSAGES["dictionaries"]["invalid"]:
        with pytest.raises(MessageError):
            read_dictionary(bytes(20), bytes.fromhex(case["packed"]))
    for case in MESSAGES["messages"]:
        data = bytes.fromhex(case["bytes"])
        match case["message"]:
            case "PingRequest":
                messages.read_ping_request(data)
            case "PingResponse":
                messages.read_ping_answer(data)
            case "StoreRequest":
                assert None not in messages.read_store_request(data).items
            case "StoreResponse":
                messages.read_store_answer(data, len(dht_pb2.StoreResponse.FromString(data).store_ok))
            case "FindRequest":
                assert messages.read_find_request(data).keys
            case "FindResponse":
                count = len(dht_pb2.FindResponse.FromString(data).results)
                messages.read_find_answer(data, [bytes(20)] * count)
