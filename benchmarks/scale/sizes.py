"""The length of the DHT's messages (SPEC section 7.6), in bytes before hivemind's frame and libp2p.

tests/benchmarks/test_scale.py compares them with what the real encoders write.
"""

from __future__ import annotations

from collections.abc import Iterable

PLACE = 24
"""The sender's own DHT id."""

ADDRESS = 11
"""An IPv4 address and a TCP port."""

SENDER = PLACE + ADDRESS
"""What a request states of its sender."""

KEY = 22
NEIGHBOUR = 62 + ADDRESS
"""A node id of 20 bytes and a peer id of 38, each with its tag, and an address."""

PING_REQUEST, PING_ANSWER = SENDER, PLACE + 9
DICTIONARY = 19
"""Overhead of a dictionary besides its entries: an array of three, two floats."""

ENTRY = 10
"""Overhead of an entry besides its subkey and its value: an array of three, and the expiry."""

EXPIRES = 9
ITEM = KEY + 9
"""Overhead of an item to store besides its subkey and its value: its key, its expiry, its flag."""

STREAM_REPLY = 5


def varint(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))


def field(length: int) -> int:
    """Return the bytes of one value in a protobuf message: a tag, a length, the value."""
    return 1 + varint(length) + length


def packed(length: int) -> int:
    """Return the bytes of MessagePack's `bin`."""
    return length + (2 if length < 2**8 else 3 if length < 2**16 else 5)


def find_request(keys: int) -> int:
    return SENDER + KEY * keys


def dictionary(entries: Iterable[tuple[int, int]]) -> int:
    """`entries`: the lengths of subkey and value of each."""
    each = [ENTRY + packed(subkey) + packed(packed(value)) for subkey, value in entries]
    inside = DICTIONARY + sum(each) + (1 if len(each) < 16 else 3)
    return inside + (3 if inside < 2**8 else 4 if inside < 2**16 else 6) if each else 0


def result(neighbours: int, dictionary_bytes: int, publishers: int = 0) -> int:
    """Return the bytes of a find answer's part about one key. `publishers`: those with an address."""
    value = 2 + field(dictionary_bytes) + EXPIRES if dictionary_bytes else 0
    return field((NEIGHBOUR * neighbours) + value + ADDRESS * publishers)


def find_answer(results: Iterable[int]) -> int:
    return PLACE + sum(results)


def store_request(things: Iterable[tuple[int, int]], *, names: bool = False) -> int:
    """`things`: the lengths of the packed subkey and the packed value of each. `names`: it asks for names."""
    items = sum(ITEM + field(subkey) + field(value) for subkey, value in things)
    return SENDER + 4 + items + (3 if names else 0)


def store_answer(things: int, named: Iterable[int] = ()) -> int:
    """`named`: how many nodes are named near each key."""
    return PLACE + 2 + things + sum(1 + result(count, 0) for count in named)
