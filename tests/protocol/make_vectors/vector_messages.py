"""Vectors of what travels between the DHT's nodes: ids, MessagePack forms, protobuf messages, frames.

Written without hivemind: `tests/network/test_message_vectors.py` compares with what hivemind writes.
"""

from __future__ import annotations

import struct

from vector_subjects import ALICE, ANNOUNCEMENT, BOB, MANIFEST, NOW, RECORD, STATUS, Json

import protocol as p

_INFINITE = float("inf")
_CALL_ID = bytes(range(16))
_KEY = p.announcement_key(ANNOUNCEMENT.swarm, ANNOUNCEMENT.round, ANNOUNCEMENT.task_id, ANNOUNCEMENT.shard)
_MEMBERS = p.membership_key(MANIFEST.swarm_id, p.shard_of(ALICE.peer_id, MANIFEST.swarm_id, 16))

Entry = tuple[bytes, bytes, float]


def messages_file() -> Json:
    return {
        "ids": _ids(),
        "packed": {
            "valid": [
                {"size": size, "head": packed_bin(bytes(size))[: -size or None].hex()}
                for size in (0, 1, 31, 32, 255, 256, 65_535, 65_536)
            ],
            "invalid": _refused_bins(),
        },
        "dictionaries": {"valid": _dictionaries(), "invalid": _refused_dictionaries()},
        "messages": _messages(),
        "with_addresses": _with_addresses(),
        "with_names": _with_names(),
        "frames": _frames(),
    }


def packed_bin(value: bytes) -> bytes:
    if len(value) < 2**8:
        return b"\xc4" + len(value).to_bytes(1, "big") + value
    if len(value) < 2**16:
        return b"\xc5" + len(value).to_bytes(2, "big") + value
    return b"\xc6" + len(value).to_bytes(4, "big") + value


def packed_dictionary(entries: list[Entry]) -> bytes:
    items = b"".join(b"\x93" + packed_bin(s) + packed_bin(packed_bin(v)) + _float(e) for s, v, e in entries)
    latest = max((expiry for _, _, expiry in entries), default=-_INFINITE)
    head = bytes([0x90 | len(entries)]) if len(entries) < 16 else b"\xdc" + len(entries).to_bytes(2, "big")
    return extension(0x50, b"\x93" + _float(_INFINITE) + _float(latest) + head + items)


def extension(kind: int, data: bytes) -> bytes:
    """Ext 8, 16 or 32: the fixed sizes have forms of their own, which no dictionary is small enough for."""
    if len(data) < 2**8:
        return b"\xc7" + bytes([len(data), kind]) + data
    if len(data) < 2**16:
        return b"\xc8" + len(data).to_bytes(2, "big") + bytes([kind]) + data
    return b"\xc9" + len(data).to_bytes(4, "big") + bytes([kind]) + data


def _float(number: float) -> bytes:
    return b"\xcb" + struct.pack(">d", number)


def _binary_peer_id(key: p.KeyPair) -> bytes:
    return bytes.fromhex("002408011220") + key.public_key


def _ids() -> Json:
    return {
        "keys": [{"key": key.hex(), "id": p.dht_id(key).hex()} for key in (_KEY, _MEMBERS)],
        "nodes": [
            {
                "peer_id": key.peer_id,
                "binary": _binary_peer_id(key).hex(),
                "id": p.dht_id(_binary_peer_id(key)).hex(),
            }
            for key in (ALICE, BOB)
        ],
    }


def _refused_bins() -> list[Json]:
    cases = [
        ("nothing", b""),
        ("nil", b"\xc0"),
        ("a text", b"\xa1a"),
        ("an array", b"\x91\xc4\x00"),
        ("an extension", b"\xc7\x01\x50a"),
        ("cut off in the head", b"\xc5\x01"),
        ("cut off in the bytes", b"\xc4\x02a"),
        ("a byte behind", b"\xc4\x01ab"),
        ("a length of one byte in two", b"\xc5\x00\x01a"),
        ("a length of one byte in four", b"\xc6\x00\x00\x00\x01a"),
        ("a length of two bytes in four", b"\xc6\x00\x00\x01\x00" + bytes(256)),
        ("a length beyond the end", b"\xc6\xff\xff\xff\xffa"),
    ]
    return [{"name": name, "packed": packed.hex()} for name, packed in cases]


def _entries(count: int) -> list[Entry]:
    return [
        (f"subkey {number}".encode(), f"value {number}".encode(), NOW + number + 0.5)
        for number in range(count)
    ]


def _dictionaries() -> list[Json]:
    announced = p.place_announcement(p.sign_announcement(ALICE, ANNOUNCEMENT), manifest=MANIFEST, now=NOW)
    assert announced.subkey is not None
    sound = [(announced.subkey, announced.value, announced.expires)]
    cases = [("one announcement", sound), *((f"{n} entries", _entries(n)) for n in (1, 15, 16, 64))]
    return [
        {
            "name": name,
            "packed": packed_dictionary(entries).hex(),
            "entries": [{"subkey": s.hex(), "value": v.hex(), "expiry": e} for s, v, e in entries],
        }
        for name, entries in cases
    ]


def _refused_dictionaries() -> list[Json]:
    good = packed_dictionary(_entries(1))
    inside = good[3:]
    entry = inside[1 + 9 + 9 + 1 :]
    head = inside[: 1 + 9 + 9]
    subkey, value = packed_bin(b"subkey 0"), packed_bin(packed_bin(b"value 0"))
    assert extension(0x50, head + b"\x91" + entry) == good
    assert entry == b"\x93" + subkey + value + _float(NOW + 0.5)
    nested = good
    for _ in range(20):
        nested = extension(0x50, b"\x93" + _float(_INFINITE) + _float(0.0) + b"\x91" + nested)

    def around(items: bytes) -> bytes:
        return extension(0x50, head + items)

    cases = [
        ("nothing", b""),
        ("a bin", packed_bin(good)),
        ("an array", inside),
        ("a map", b"\x81" + subkey + value),
        ("another extension", extension(0x40, inside)),
        ("cut off", good[:-1]),
        ("a byte behind", good + b"\0"),
        ("a byte behind, inside", extension(0x50, inside + b"\0")),
        ("two parts", extension(0x50, b"\x92" + head[1:])),
        ("a size that is an integer", extension(0x50, b"\x93\x40" + inside[10:])),
        ("a size that is nil", extension(0x50, b"\x93\xc0" + inside[10:])),
        ("entries in a map", around(b"\x81" + subkey + value)),
        ("an entry of two", around(b"\x91\x92" + subkey + value)),
        ("an entry of four", around(b"\x91\x94" + subkey + value + _float(NOW) + b"\xc0")),
        ("a subkey that is a text", around(b"\x91\x93\xa1a" + value + _float(NOW))),
        ("a subkey that is nil", around(b"\x91\x93\xc0" + value + _float(NOW))),
        ("a value that is packed once", around(b"\x91\x93" + subkey + packed_bin(b"value 0") + _float(NOW))),
        ("a value that is a text", around(b"\x91\x93" + subkey + b"\xa1a" + _float(NOW))),
        ("a value that is a dictionary", around(b"\x91\x93" + subkey + good + _float(NOW))),
        ("an expiry that is an integer", around(b"\x91\x93" + subkey + value + b"\xce\x6b\x49\xd2\x00")),
        ("an expiry in 32 bits", around(b"\x91\x93" + subkey + value + b"\xca" + struct.pack(">f", 1e9))),
        ("a subkey of 61 bytes", packed_dictionary([(bytes(61), b"value", NOW + 1.0)])),
        ("65 entries", packed_dictionary(_entries(65))),
        ("more entries claimed than there are", around(b"\xdc\xff\xff" + entry)),
        ("an array of one in the long form", around(b"\xdc\x00\x01" + entry)),
        ("extensions inside one another, 20 levels", nested),
    ]
    return [{"name": name, "packed": packed.hex()} for name, packed in cases]


# protobuf ----------------------------------------------------------------------------------------------


def _varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _double(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<d", value)


def _messages() -> list[Json]:
    alice, bob = p.dht_id(_binary_peer_id(ALICE)), p.dht_id(_binary_peer_id(BOB))
    here, there = _field(1, alice), _field(1, bob)
    body = p.place_body(p.sign_record(ALICE, RECORD), manifest=MANIFEST, now=NOW)
    status = p.place_status(p.sign_status(ALICE, STATUS), manifest=MANIFEST, now=NOW)
    assert status.subkey is not None
    items = [(body, b"\xc0"), (status, packed_bin(status.subkey))]
    dictionary = packed_dictionary([(status.subkey, status.value, status.expires)])
    neighbour = _field(4, bob) + _field(5, _binary_peer_id(BOB))
    found = [
        neighbour,
        b"\x08\x01" + _field(2, packed_bin(body.value)) + _double(3, body.expires) + neighbour,
        b"\x08\x02" + _field(2, dictionary) + _double(3, status.expires) + neighbour,
    ]
    keys = [p.dht_id(placed.key) for placed, _ in items]
    messages = [
        ("PingRequest", "from a node that can be called", _field(2, here)),
        ("PingRequest", "from a node that cannot", b""),
        ("PingResponse", "with the clock of the node", _field(2, there) + _double(4, NOW + 0.25)),
        (
            "StoreRequest",
            "an inline body and a status",
            b"".join(_field(2, key) for key in keys)
            + b"".join(_field(3, subkey) for _, subkey in items)
            + b"".join(_field(4, packed_bin(placed.value)) for placed, _ in items)
            + _field(5, b"".join(struct.pack("<d", placed.expires) for placed, _ in items))
            + _field(6, bytes(2))
            + _field(7, here),
        ),
        ("StoreResponse", "the first is held, the second is not", _field(2, b"\x01\x00") + _field(3, there)),
        ("FindRequest", "two keys", b"".join(_field(2, key) for key in keys) + _field(3, here)),
        (
            "FindResponse",
            "nothing, an inline body, a dictionary of one status",
            b"".join(_field(2, result) for result in found) + _field(3, there),
        ),
    ]
    return [{"message": kind, "name": name, "bytes": data.hex()} for kind, name, data in messages]


def _with_addresses() -> list[Json]:
    """`without`: the same as read by a node that does not know the addresses."""
    alice, bob = p.dht_id(_binary_peer_id(ALICE)), p.dht_id(_binary_peer_id(BOB))
    at = bytes.fromhex("04c0000207") + bytes.fromhex("06a028")  # /ip4/192.0.2.7/tcp/41000
    announced = p.place_announcement(p.sign_announcement(ALICE, ANNOUNCEMENT), manifest=MANIFEST, now=NOW)
    assert announced.subkey is not None
    packed = packed_dictionary([(announced.subkey, announced.value, announced.expires)])
    found = b"\x08\x02" + _field(2, packed) + _double(3, announced.expires)
    two = (
        _field(4, bob)
        + _field(4, alice)
        + _field(5, _binary_peer_id(BOB))
        + _field(5, _binary_peer_id(ALICE))
    )
    told = _field(16, at) + _field(16, b"") + _field(17, at)
    key = _field(2, p.dht_id(announced.key))
    cases = [
        (
            "FindRequest",
            "the sender states its address",
            key + _field(3, _field(1, alice) + _field(16, at)),
            key + _field(3, _field(1, alice)),
        ),
        (
            "FindResponse",
            "two neighbours, the first with its address, and an announcement with its publisher's",
            _field(2, found + two + told) + _field(3, _field(1, bob)),
            _field(2, found + two) + _field(3, _field(1, bob)),
        ),
    ]
    return [
        {"message": kind, "name": name, "bytes": data.hex(), "without": without.hex(), "address": at.hex()}
        for kind, name, data, without in cases
    ]


def _with_names() -> list[Json]:
    """`without`: the same as read by a node that does not know that names can be asked for."""
    alice, bob = p.dht_id(_binary_peer_id(ALICE)), p.dht_id(_binary_peer_id(BOB))
    placed = p.place_announcement(p.sign_announcement(ALICE, ANNOUNCEMENT), manifest=MANIFEST, now=NOW)
    assert placed.subkey is not None
    item = (
        _field(2, p.dht_id(placed.key))
        + _field(3, packed_bin(placed.subkey))
        + _field(4, packed_bin(placed.value))
        + _field(5, struct.pack("<d", placed.expires))
        + _field(6, bytes(1))
        + _field(7, _field(1, alice))
    )
    held = _field(2, b"\x01") + _field(3, _field(1, bob))
    named = _field(4, bob) + _field(5, _binary_peer_id(BOB))
    cases = [
        ("StoreRequest", "an announcement, and names are asked for", item + b"\x90\x01\x01", item),
        ("StoreResponse", "it is held, and one node is near its key", held + _field(18, named), held),
    ]
    return [
        {"message": kind, "name": name, "bytes": data.hex(), "without": without.hex()}
        for kind, name, data, without in cases
    ]


def _frames() -> Json:
    ping = _field(2, _field(1, p.dht_id(_binary_peer_id(ALICE))))
    call = _field(1, _binary_peer_id(BOB)) + _field(2, b"SwarmDHT.rpc_ping") + _field(3, ping)
    answer = _field(2, _field(1, p.dht_id(_binary_peer_id(BOB)))) + _double(4, NOW + 0.25)

    def delimited(data: bytes) -> str:
        return (_varint(len(data)) + data).hex()

    return {
        "call_id": _CALL_ID.hex(),
        "call": delimited(_field(1, _CALL_ID) + _field(3, call)),
        "answer": delimited(_field(1, _CALL_ID) + _field(4, _field(1, answer))),
        "failed": delimited(_field(1, _CALL_ID) + _field(4, _field(2, b"refused"))),
    }
