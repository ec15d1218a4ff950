"""Hostile bytes from a seed: random, near what is valid, and CBOR that is wrong in one place or one form."""

from __future__ import annotations

import random
from collections.abc import Sequence

from protocol import encode

_INTERESTING = (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**31, 2**32, 2**53 - 1, 2**53, 2**63, 2**64 - 1)
_DEPTH_MAX = 12  # deeper than any decoder may follow
_SIZE_MAX = 4_096  # of random bytes; larger ones meet a limit on size and nothing else
_LEAVES = (
    b"\xf4",
    b"\xf5",
    b"\xf6",
    b"\xf7",
    b"\xf8\x14",
    b"\xf9\x3c\x00",
    b"\xfb" + bytes(8),
    b"\xff",
    b"\x1c",
)
_CHARACTERS = (
    "aZ09 ~\x00\n\x1b\x7f\x85\xa0üλя模\u00ad\u061c\u200b\u202e\u2028\u2066\ufeff\uffff\U0001f600\U000e0001"
)


def junk(rng: random.Random) -> bytes:
    """Random bytes, short ones more often than long ones."""
    return rng.randbytes(int(_SIZE_MAX ** rng.random()))


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds` after one to four changes."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        size = rng.choice((1, 1, 1, 2, 4, 8, 32))
        match rng.randrange(7):
            case 0 if at < len(data):
                data[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(data):
                data[at] = rng.choice((0x00, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                data[at:at] = rng.randbytes(size)
            case 3:
                del data[at : at + size]
            case 4:
                data[at : at + size] = rng.choice(_INTERESTING).to_bytes(8, "big")[-size:]
            case 5:
                del data[at:]
            case _:
                other = rng.choice(seeds)
                start = rng.randrange(len(other) + 1)
                data[at:] = other[start:]
    return bytes(data)


def text(rng: random.Random, length_max: int = 40) -> str:
    return "".join(rng.choices(_CHARACTERS, k=rng.randrange(length_max)))


def tree(rng: random.Random, depth: int = 3) -> object:
    """A value that the encoding allows."""
    match rng.randrange(9 if depth else 6):
        case 0 | 1:
            number = min(rng.choice(_INTERESTING), 2**53 - 1)
            return rng.choice((number, -number))
        case 2:
            return rng.randbytes(rng.choice((0, 8, 16, 32, rng.randrange(60))))
        case 3:
            return text(rng)
        case 4 | 5:
            return rng.choice((True, False, None))
        case 6 | 7:
            return tuple(tree(rng, depth - 1) for _ in range(rng.randrange(4)))
        case _:
            return {text(rng, 8): tree(rng, depth - 1) for _ in range(rng.randrange(4))}


def altered(rng: random.Random, value: object) -> object:
    """`value` with one thing inside it replaced, removed, added or moved elsewhere."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(list(value))
        match rng.randrange(8):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return value | {text(rng, 8): tree(rng)}
            case 2:
                return value | {key: value[rng.choice(list(value))]}
            case _:
                return value | {key: altered(rng, value[key])}
    if isinstance(value, tuple) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:at] + value[at + 1 :]
        if rng.random() < 0.1:
            return value * rng.choice((2, 30, 300))
        return (*value[:at], altered(rng, value[at]), *value[at + 1 :])
    if isinstance(value, int) and rng.random() < 0.6:
        return max(-(2**53) + 1, min(2**53 - 1, value + rng.choice((-1, 1, -15, 15, 10**6))))
    if isinstance(value, str) and rng.random() < 0.6:
        at = rng.randrange(len(value) + 1)
        return value[:at] + text(rng, 4) + value[at + rng.randrange(2) :]
    if isinstance(value, bytes) and value and rng.random() < 0.6:
        return mutated(rng, [value])
    return tree(rng)


def cbor(rng: random.Random, value: object, wrong: float = 0.02, depth: int = _DEPTH_MAX) -> bytes:
    """`value` in CBOR; with probability `wrong` an item is in a form that the profile refuses."""
    if rng.random() < wrong and depth:
        match rng.randrange(4):
            case 0:
                return rng.choice(_LEAVES)
            case 1:
                return bytes([0xC0 | rng.randrange(24)]) + cbor(rng, value, wrong, depth - 1)  # a tag
            case 2:
                return b"\x81" * rng.randrange(20) + cbor(rng, value, wrong, 0)
            case _:
                return _head(rng.randrange(8), rng.choice(_INTERESTING), rng.choice((1, 2, 4, 8)))
    if isinstance(value, bytes | str):
        raw = value if isinstance(value, bytes) else value.encode()
        return _head_of(rng, 2 if isinstance(value, bytes) else 3, len(raw), wrong) + raw
    if isinstance(value, tuple):
        return _head_of(rng, 4, len(value), wrong) + b"".join(cbor(rng, item, wrong, depth) for item in value)
    if isinstance(value, dict):
        pairs = sorted((encode(key), item) for key, item in value.items())
        if rng.random() < wrong:
            rng.shuffle(pairs)
        if pairs and rng.random() < wrong:
            pairs.append(rng.choice(pairs))
        items = b"".join(key + cbor(rng, item, wrong, depth) for key, item in pairs)
        return _head_of(rng, 5, len(pairs), wrong) + items
    return encode(value)


def _head_of(rng: random.Random, major: int, argument: int, wrong: float) -> bytes:
    if rng.random() < wrong:
        return _head(major, argument, 8)
    return _shortest(major, argument)


def _shortest(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    return _head(major, argument, next(size for size in (1, 2, 4, 8) if argument < 1 << 8 * size))


def _head(major: int, argument: int, size: int) -> bytes:
    kept = argument & ((1 << 8 * size) - 1)
    return bytes([major << 5 | {1: 24, 2: 25, 4: 26, 8: 27}[size]]) + kept.to_bytes(size, "big")
