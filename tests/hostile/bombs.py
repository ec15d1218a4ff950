"""Bytes that are dear to decode, or lie about their own shape: MessagePack, and the DHT's messages round it.

Pure, and seeded where there is chance. `answers` is the list that a hostile holder answers searches with.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgpack
from hivemind.proto import dht_pb2

TUPLE, DICTIONARY = 0x40, 0x50
"""hivemind's MessagePack extension types; decoding either begins another decoder inside the first."""

MESSAGE_BYTES = 4_000_000
"""Just below what p2pd carries in one message."""


def pack(value: object) -> bytes:
    packed: bytes = msgpack.packb(value, use_bin_type=True)
    return packed


def extension(code: int, data: bytes) -> bytes:
    """One MessagePack extension value."""
    return pack(msgpack.ExtType(code, data))


def nested_extensions(levels: int, code: int = TUPLE, payload: bytes = b"\x90") -> bytes:
    """An extension in an array in an extension ...: each level is decoded by a decoder of its own."""
    data = payload
    for _ in range(levels):
        inner = extension(code, data)
        data = b"\x91" + inner if code == TUPLE else b"\x93\xc0\x00" + inner
    return extension(code, data)


def nested_arrays(levels: int) -> bytes:
    return b"\x91" * levels + b"\xc0"


def nested_maps(levels: int) -> bytes:
    return b"\x81\x00" * levels + b"\xc0"


def lying_lengths() -> Iterator[bytes]:
    """Heads that announce far more than follows."""
    for head in (b"\xc6", b"\xdb", b"\xdd", b"\xdf"):
        yield head + b"\xff\xff\xff\xff"
    yield b"\xc9\xff\xff\xff\xff\x50"
    yield b"\xc9\x7f\xff\xff\xff\x40" + bytes(64)
    yield b"\xdd\x00\xff\xff\xff" + b"\xc0" * 64


def dictionary(entries: list[tuple[object, object, object]], maxsize: object = None) -> bytes:
    """A dictionary value as hivemind packs it, of whatever is given."""
    latest = 2e9
    return extension(DICTIONARY, pack([maxsize, latest, [list(entry) for entry in entries]]))


Wanted = Callable[[str], bool]
"""Whether to make the bomb of that name: some take a second."""


def everything(_name: str) -> bool:
    return True


def dictionaries(rng: random.Random, wanted: Wanted = everything) -> Iterator[tuple[str, bytes]]:
    """Values of a found dictionary, each hostile in its own way."""
    for name, make in {**_NESTED, **_LARGE}.items():
        if wanted(name):
            yield name, make()
    for name, value in _small(rng):
        if wanted(name):
            yield name, value


_NESTED: Mapping[str, Callable[[], bytes]] = {
    "400 nested tuples": lambda: nested_extensions(400),
    "400 nested dictionaries": lambda: nested_extensions(400, DICTIONARY),
    "5000 nested tuples": lambda: nested_extensions(5_000),
    "150 nested tuples round 4 MB": lambda: nested_extensions(
        150, TUPLE, b"\xc6" + _sized(MESSAGE_BYTES - 9_000)
    ),
    "1000 nested arrays": lambda: nested_arrays(1_000),
    "a million nested arrays": lambda: nested_arrays(1_000_000),
    "500000 nested maps": lambda: nested_maps(500_000),
}

_LARGE: Mapping[str, Callable[[], bytes]] = {
    "a dictionary of 100000 entries": lambda: dictionary([(b"%d" % i, b"v", 2e9) for i in range(100_000)]),
    "a dictionary of one entry of 3.9 MB": lambda: dictionary([(b"k", bytes(3_900_000), 2e9)]),
    "four million nils": lambda: (
        b"\xdd" + (MESSAGE_BYTES - 5).to_bytes(4, "big") + b"\xc0" * (MESSAGE_BYTES - 5)
    ),
    "two million maps": lambda: b"\xdd" + (2_000_000).to_bytes(4, "big") + b"\x80" * 2_000_000,
}


def _small(rng: random.Random) -> Iterator[tuple[str, bytes]]:
    for index, lie in enumerate(lying_lengths()):
        yield f"lying length {index}", lie
        yield f"lying length {index} in a dictionary", extension(DICTIONARY, lie)
    for name, entry in _wrong_entries(rng).items():
        yield name, dictionary([entry])
    yield "a negative size", dictionary([(b"k", b"v", 2e9)], maxsize=-1)
    yield "a size that is text", dictionary([(b"k", b"v", 2e9)], maxsize="x")
    yield "an integer for a dictionary", pack(7)
    yield "an array for a dictionary", pack([None, 1.0, []])
    yield "an extension of an unknown type", extension(17, b"x")
    yield "a timestamp", b"\xd6\xff\x00\x00\x00\x00"
    yield "nothing", b""
    yield "a byte that is never used", b"\xc1"


def _sized(size: int) -> bytes:
    return size.to_bytes(4, "big") + bytes(size)


def _wrong_entries(rng: random.Random) -> Mapping[str, tuple[object, object, object]]:
    peer = rng.randbytes(52)
    return {
        "an entry whose key is a list": ([1, 2], b"v", 2e9),
        "an entry whose key is a map": ({"a": 1}, b"v", 2e9),
        "an entry whose key is text": ("k", b"v", 2e9),
        "an entry whose key is nil": (None, b"v", 2e9),
        "an entry whose value is a number": (peer, 7, 2e9),
        "an entry whose value is a map": (peer, {"a": [1]}, 2e9),
        "an entry that expires never": (peer, b"v", math.inf),
        "an entry that expires at no time": (peer, b"v", math.nan),
        "an entry whose expiry is text": (peer, b"v", "soon"),
        "an entry whose expiry is nil": (peer, b"v", None),
        "an entry whose expiry is huge": (peer, b"v", 10**18),
    }


def found(value: bytes, expires: float = 2e9) -> dht_pb2.FindResult:
    """A search's answer: this dictionary."""
    return dht_pb2.FindResult(type=dht_pb2.FOUND_DICTIONARY, value=value, expiration_time=expires)


def results(rng: random.Random, wanted: Wanted = everything) -> Iterator[tuple[str, dht_pb2.FindResult]]:
    """One hostile result of a search, for one key."""
    for name, value in dictionaries(rng, wanted):
        yield name, found(value)
        if len(value) < 10_000:
            yield (
                f"plain: {name}",
                dht_pb2.FindResult(type=dht_pb2.FOUND_REGULAR, value=value, expiration_time=2e9),
            )
    small = dictionary([(b"k", b"v", 2e9)])
    for expires in (math.nan, math.inf, -math.inf, -1.0, 1e308):
        yield f"expires {expires}", found(small, expires)
    yield "an unknown kind of result", dht_pb2.FindResult(type=7, value=small)
    yield "a negative kind of result", dht_pb2.FindResult(type=-1, value=small)
    nowhere = dht_pb2.FindResult(type=dht_pb2.NOT_FOUND)
    for size in (0, 1, 19, 21, 4_096):
        ids = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[rng.randbytes(size)] * 3,
            nearest_peer_ids=[rng.randbytes(size)] * 3,
        )
        yield f"places of {size} bytes", ids
    yield (
        "more places than peers",
        dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND, nearest_node_ids=[rng.randbytes(20)] * 9, nearest_peer_ids=[b"x"]
        ),
    )
    yield (
        "50000 places",
        dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[rng.randbytes(20) for _ in range(50_000)],
            nearest_peer_ids=[rng.randbytes(38) for _ in range(50_000)],
        ),
    )
    yield "no result at all", nowhere


def answers(
    rng: random.Random, keys: int, node: dht_pb2.NodeInfo, library: Iterable[tuple[str, dht_pb2.FindResult]]
) -> Iterator[tuple[str, bytes]]:
    """Whole answers to a search for that many keys, as bytes; every one fits into a message.

    `library`: what `results` gave, which takes seconds to make.
    """
    for name, result in library:
        copies = keys if result.ByteSize() * keys < MESSAGE_BYTES else 1
        yield name, dht_pb2.FindResponse(results=[result] * copies, peer=node).SerializeToString()
    small = found(dictionary([(b"k", b"v", 2e9)]))
    for count in (0, keys + 1, 1_000):
        yield (
            f"{count} results for {keys} keys",
            dht_pb2.FindResponse(results=[small] * count, peer=node).SerializeToString(),
        )
    for size in (0, 1, 21, 100_000):
        place = dht_pb2.NodeInfo(node_id=rng.randbytes(size))
        yield f"a sender's place of {size} bytes", dht_pb2.FindResponse(peer=place).SerializeToString()
    yield "no protobuf", b"\xff" * 100
    yield "another message", dht_pb2.PingResponse(dht_time=math.nan).SerializeToString()
    yield "4 MB of nothing", bytes(MESSAGE_BYTES)
    yield "unknown fields", b"\xfa\x07\x80\x80\x40" + bytes(2**20)


def mutated(rng: random.Random, data: bytes) -> bytes:
    """`data` with a few bytes flipped, cut, doubled or replaced."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        at = rng.randrange(len(spoiled) + 1)
        match rng.randrange(5):
            case 0 if spoiled:
                spoiled[min(at, len(spoiled) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del spoiled[at : at + rng.randint(1, 16)]
            case 2:
                spoiled[at:at] = spoiled[at : at + rng.randint(1, 64)]
            case 3:
                spoiled[at : at + 4] = rng.randbytes(rng.randint(0, 8))
            case _:
                head = rng.choice((b"\xc9", b"\xdd", b"\xdf", b"\xc6", b"\xdb", b"\xc7", b"\x91", b"\x81"))
                spoiled[at:at] = head + rng.randbytes(rng.randint(0, 5))
    return bytes(spoiled)
