"""Vectors below and beside the payloads: keys, encoding, envelopes, DHT keys, the held-out partition."""

from __future__ import annotations

import hashlib

from vector_subjects import ALICE, ANNOUNCEMENT, BOB, GCD, MANIFEST, Json, field, readable

import protocol as p
from protocol import limits

ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
OFF_CURVE = b"\x02" + bytes(31)
"""y = 2, for which x^2 would not be a square."""

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def peer_id_of(public_key: bytes) -> str:
    """The text of any 32 bytes, usable or not."""
    number = int.from_bytes(b"\x00\x24\x08\x01\x12\x20" + public_key, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" + text


def keys_file() -> Json:
    def pair(seed: bytes) -> Json:
        key = p.KeyPair.from_seed(seed)
        message = b"swarm"
        return {
            "seed": seed.hex(),
            "public_key": key.public_key.hex(),
            "peer_id": key.peer_id,
            "libp2p_private_key": key.to_libp2p().hex(),
            "message": message.hex(),
            "signature": key.sign(message).hex(),
        }

    def refused(value: str, *cases: tuple[str, str]) -> list[Json]:
        return [{"name": name, value: text, "reason": "key"} for name, text in cases]

    alice, bob = ALICE.to_libp2p(), BOB.to_libp2p()
    rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
    return {
        "valid": [pair(bytes(32)), pair(bytes(range(32))), pair(b"\xff" * 32)],
        "invalid_public_keys": refused(
            "public_key",
            ("identity point", (b"\x01" + bytes(31)).hex()),
            ("point of order 2", (b"\xec" + b"\xff" * 30 + b"\x7f").hex()),
            ("point of order 4", bytes(32).hex()),
            ("point of order 4, other sign", (bytes(31) + b"\x80").hex()),
            ("point of order 8", ORDER_8.hex()),
            (
                "point of order 8, another",
                "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            ),
            ("y equal to the field prime", (b"\xed" + b"\xff" * 30 + b"\x7f").hex()),
            ("31 bytes", ALICE.public_key[:31].hex()),
            ("33 bytes", (ALICE.public_key + b"\0").hex()),
        ),
        "invalid_peer_ids": refused(
            "peer_id",
            ("empty", ""),
            ("an RSA peer id", rsa),
            ("a character that base58 leaves out", ALICE.peer_id[:-1] + "0"),
            ("one character short", ALICE.peer_id[:-1]),
            ("one character more", ALICE.peer_id + "1"),
            ("a leading 1 more", "1" + ALICE.peer_id[:-1]),
            ("a character outside ASCII", ALICE.peer_id[:-1] + "ı"),
            ("a point of order 8", peer_id_of(ORDER_8)),
            ("the identity point", peer_id_of(b"\x01" + bytes(31))),
            ("y equal to the field prime", peer_id_of(b"\xed" + b"\xff" * 30 + b"\x7f")),
        ),
        "invalid_identity_files": refused(
            "libp2p_private_key",
            ("empty", ""),
            ("67 bytes", alice[:-1].hex()),
            ("69 bytes", (alice + b"\0").hex()),
            ("key type RSA", (b"\x08\x00" + alice[2:]).hex()),
            ("a seed alone", (b"\x08\x01\x12\x20" + alice[4:36]).hex()),
            ("the key of another seed", (alice[:36] + bob[36:]).hex()),
            ("one bit of the key flipped", (alice[:-1] + bytes([alice[-1] ^ 1])).hex()),
        ),
    }


def encoding_file() -> Json:
    valid: list[object] = [
        0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1, -1, -24, -25, -(2**53 - 1),
        b"", b"\x00" * 24, "", "ü", "\x00", False, True, None, (), (1, (2,)), {}, {"b": 1, "aa": 2, "a": 3},
    ]  # fmt: skip
    invalid = [
        ("nothing", "", "encoding"),
        ("two values", "0000", "encoding"),
        ("integer in two bytes that fits one", "1817", "not_canonical"),
        ("length in two bytes that fits one", "580100", "not_canonical"),
        ("array length in nine bytes", "9b0000000000000000", "not_canonical"),
        ("map keys out of order", "a2616201616102", "not_canonical"),
        ("longer map key first", "a262616101616202", "not_canonical"),
        ("a map key twice", "a2616101616101", "not_canonical"),
        ("a map key twice, other value", "a2616101616102", "not_canonical"),
        ("integer map key", "a10101", "encoding"),
        ("byte string map key", "a1416101", "encoding"),
        ("half float", "f93c00", "encoding"),
        ("single float", "fa3f800000", "encoding"),
        ("double float", "fb3ff0000000000000", "encoding"),
        ("NaN", "f97e00", "encoding"),
        ("undefined", "f7", "encoding"),
        ("simple value 0", "e0", "encoding"),
        ("false in two bytes", "f814", "encoding"),
        ("tag: date", "c11a00000000", "encoding"),
        ("tag: bignum", "c249010000000000000000", "encoding"),
        ("tag: self-described CBOR", "d9d9f700", "encoding"),
        ("integer 2^53", "1b0020000000000000", "encoding"),
        ("integer -2^53", "3b001fffffffffffff", "encoding"),
        ("integer 2^64 - 1", "1bffffffffffffffff", "encoding"),
        ("indefinite array", "9fff", "encoding"),
        ("indefinite map", "bfff", "encoding"),
        ("indefinite text", "7f6161ff", "encoding"),
        ("break alone", "ff", "encoding"),
        ("reserved head", "1c", "encoding"),
        ("head cut off", "19ff", "encoding"),
        ("text cut off", "6261", "encoding"),
        ("text is not UTF-8", "62c328", "encoding"),
        ("text holds a surrogate", "63eda080", "encoding"),
        ("text in overlong UTF-8", "62c080", "encoding"),
        ("array with a missing item", "8201", "encoding"),
        ("array that claims 2^64 - 1 items", "9bffffffffffffffff00", "encoding"),
        ("map without its last value", "a16161", "encoding"),
        ("nested too deep", "81" * (limits.DEPTH_MAX + 1) + "00", "encoding"),
    ]
    return {
        "valid": [{"value": readable(value), "cbor": p.encode(value).hex()} for value in valid],
        "note": "in `value` a byte string reads as hex text; `cbor` says which it is",
        "invalid": [{"name": name, "cbor": cbor, "reason": reason} for name, cbor, reason in invalid],
    }


def envelopes_file() -> Json:
    domain, kind, payload = "test-domain", b"/test/1", b"payload"
    good = p.seal(ALICE, domain, kind, payload)
    public, signature = b"\x08\x01\x12\x20" + ALICE.public_key, good[-64:]
    a, b, c, d = field(0x0A, public), field(0x12, kind), field(0x1A, payload), field(0x2A, signature)
    assert a + b + c + d == good

    def unchecked(payload: bytes) -> bytes:
        """What `seal` refuses to make."""
        parts = (domain.encode(), kind, payload)
        signed = b"".join(bytes([len(part)]) + part for part in parts)
        return a + b + field(0x1A, payload) + field(0x2A, ALICE.sign(signed))

    assert unchecked(payload) == good
    group_order = 2**252 + 27742317777372353535851937790883648493
    high_s = int.from_bytes(signature[32:], "little") + group_order
    identity = b"\x01" + bytes(31)
    invalid = [
        ("empty", b"", "envelope"),
        ("larger than allowed", p.seal(ALICE, domain, kind, bytes(200)), "size"),
        ("cut off inside the signature", good[:-1], "envelope"),
        ("an empty payload, signed", unchecked(b""), "envelope"),
        ("an empty payload, not signed", a + b + field(0x1A, b"") + d, "envelope"),
        ("an empty payload type", a + field(0x12, b"") + c + d, "payload_type"),
        ("no signature", a + b + c, "envelope"),
        ("a byte after the signature", good + b"\0", "envelope"),
        ("the signature twice", good + d, "envelope"),
        ("fields out of order", b + a + c + d, "envelope"),
        ("an unknown field", a + b + c + field(0x32, b"x") + d, "envelope"),
        ("a padded length", a[:1] + b"\xa4\x00" + public + b + c + d, "envelope"),
        ("a length beyond the end", a + b + b"\x1a\xff\xff\xff\x7f" + payload + d, "envelope"),
        ("a length that never ends", a + b + b"\x1a" + b"\xff" * 9, "envelope"),
        ("another payload type", p.seal(ALICE, domain, b"/test/2", payload), "payload_type"),
        ("another domain", p.seal(ALICE, "other-domain", kind, payload), "signature"),
        ("another payload", a + b + field(0x1A, b"Payload") + d, "signature"),
        ("another key", field(0x0A, public[:4] + BOB.public_key) + b + c + d, "signature"),
        ("a signature of 63 bytes", a + b + c + field(0x2A, signature[:63]), "signature"),
        (
            "a second form of the signature: s + L",
            a + b + c + field(0x2A, signature[:32] + high_s.to_bytes(32, "little")),
            "signature",
        ),
        ("key type RSA", field(0x0A, b"\x08\x00" + public[2:]) + b + c + d, "key"),
        ("a key that is no point of the curve", field(0x0A, public[:4] + OFF_CURVE) + b + c + d, "signature"),
        ("key of 31 bytes", field(0x0A, public[:-1]) + b + c + d, "key"),
        (
            "small-order key, for which this signature fits every message",
            field(0x0A, public[:4] + identity) + b + c + field(0x2A, identity + bytes(32)),
            "key",
        ),
    ]
    return {
        "domain": domain,
        "payload_type": kind.decode(),
        "size_max": 200,
        "valid": [
            {
                "name": "plain",
                "seed": bytes(range(32)).hex(),
                "payload": payload.hex(),
                "signed_bytes": (b"\x0b" + domain.encode() + b"\x07" + kind + b"\x07" + payload).hex(),
                "envelope": good.hex(),
                "peer_id": ALICE.peer_id,
            }
        ],
        "invalid": [{"name": n, "envelope": e.hex(), "reason": r} for n, e, r in invalid],
    }


def topics_file() -> Json:
    swarm, task = MANIFEST.swarm_id, GCD.task_id
    counts = [1 << bits for bits in range(7)]
    return {
        "announcement_keys": [
            {"swarm": swarm.hex(), "round": number, "task_id": task.hex(), "shard": shard,
             "key": p.announcement_key(swarm, number, task, shard).hex()}
            for number, shard in ((0, 0), (1000, 5), (limits.INT_MAX, 63))
        ],
        "membership_keys": [
            {"swarm": swarm.hex(), "shard": shard, "key": p.membership_key(swarm, shard).hex()}
            for shard in (0, 15, 63)
        ],
        "body_keys": [
            {"swarm": swarm.hex(), "digest": ANNOUNCEMENT.digest.hex(),
             "key": p.body_key(swarm, ANNOUNCEMENT.digest).hex()}
        ],
        "publisher_keys": [
            {"swarm": swarm.hex(), "publisher": key.peer_id, "key": p.publisher_key(swarm, key.peer_id).hex()}
            for key in (ALICE, BOB)
        ],
        "shards": [
            {"peer_id": key.peer_id, "salt": salt.hex(),
             "shard_by_count": {str(count): p.shard_of(key.peer_id, salt, count) for count in counts}}
            for key in (ALICE, BOB) for salt in (b"", swarm, task)
        ],
    }  # fmt: skip


def held_out_file() -> Json:
    def starting_with(byte: int) -> str:
        texts = (f"What is {number} + {number}?" for number in range(10_000))
        return next(text for text in texts if hashlib.sha256(text.encode()).digest()[0] == byte)

    edge = p.HELD_OUT_BYTE_BELOW
    questions = ["", "Wie groß ist 7 · 8?", *map(starting_with, (0, edge - 1, edge, 255))]
    return {
        "questions": [
            {
                "text": text,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "held_out": p.is_held_out(text),
            }
            for text in questions
        ]
    }
