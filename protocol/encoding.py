"""Deterministic CBOR (RFC 8949 section 4.2.1), restricted to the profile of SPEC section 4.

The profile has integers, byte strings, text strings, arrays, maps with text keys, true, false and null. A
general decoder would act on tags (bignums, dates, regular expressions) before its caller could refuse them,
so this package has its own, which has no code for anything outside the profile. It accepts any head length
and key order, encodes the result again and compares the bytes, so "canonical" is defined in one place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.limits import DEPTH_MAX, INT_MAX

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _SIMPLE = 0, 1, 2, 3, 4, 5, 7
_SIMPLE_BYTES = {False: b"\xf4", True: b"\xf5", None: b"\xf6"}
_SIMPLE_VALUES = {20: False, 21: True, 22: None}
_ARGUMENT_BYTES = {24: 1, 25: 2, 26: 4, 27: 8}


def encode(value: object) -> bytes:
    """Return the canonical encoding of `value`: int, bytes, str, bool, None, tuple or list, mapping with str
    keys.

    Raises InvalidLocal for other types, integers beyond +-(2**53 - 1), lone surrogates and nesting beyond
    DEPTH_MAX.
    """
    out = bytearray()
    _write(out, value, DEPTH_MAX)
    return bytes(out)


def decode(data: bytes, *, items_max: int = INT_MAX) -> object:
    """Return the value that `data` encodes. Arrays become tuples, maps become dicts.

    `items_max` bounds the number of data items, including containers and map keys, so that a stranger cannot
    make the reader build 65,536 zeros.
    Raises RejectedRecord: `encoding` for data outside the profile, `not_canonical` for data that is not the
    canonical encoding of its value.
    """
    value, end = _read(data, 0, DEPTH_MAX, iter(range(items_max)))
    if end != len(data):
        raise RejectedRecord(Reason.ENCODING, f"{len(data) - end} bytes after the value")
    if encode(value) != data:
        raise RejectedRecord(Reason.NOT_CANONICAL, "not the canonical encoding of its value")
    return value


def sha256_of(value: object) -> bytes:
    """Return the SHA-256 (32 bytes) of the encoding of `value`. All ids and keys derive from it."""
    return hashlib.sha256(encode(value)).digest()


def _write(out: bytearray, value: object, depth: int) -> None:
    if value is None or isinstance(value, bool):
        out += _SIMPLE_BYTES[value]
    elif isinstance(value, int):
        if abs(value) > INT_MAX:
            raise InvalidLocal(f"the integer {value:#x} does not fit into +-(2**53 - 1)")
        _write_head(out, *((_UNSIGNED, value) if value >= 0 else (_NEGATIVE, -1 - value)))
    elif isinstance(value, bytes):
        _write_head(out, _BYTES, len(value))
        out += value
    elif isinstance(value, str):
        out += _text(value)
    elif isinstance(value, tuple | list | Mapping):
        if depth == 0:
            raise InvalidLocal(f"containers are nested more than {DEPTH_MAX} deep")
        _write_container(out, value, depth - 1)
    else:
        raise InvalidLocal(
            f"{type(value).__name__} has no encoding here: use int, bytes, str, bool, None, tuple, dict"
        )


def _write_container(
    out: bytearray, value: tuple[object, ...] | list[object] | Mapping[object, object], depth: int
) -> None:
    if isinstance(value, Mapping):
        _write_head(out, _MAP, len(value))
        # RFC 8949 4.2.1: bytewise lexicographic order of the encoded keys
        for key, item in sorted((_text(key), item) for key, item in value.items()):
            out += key
            _write(out, item, depth)
    else:
        _write_head(out, _ARRAY, len(value))
        for item in value:
            _write(out, item, depth)


def _text(value: object) -> bytes:
    if not isinstance(value, str):
        raise InvalidLocal(f"map keys are text, not {type(value).__name__}")
    try:
        raw = value.encode()
    except UnicodeEncodeError as error:
        raise InvalidLocal(f"text is not valid Unicode: {error.reason}") from None
    out = bytearray()
    _write_head(out, _TEXT, len(raw))
    return bytes(out + raw)


def _write_head(out: bytearray, major: int, argument: int) -> None:
    if argument < 24:
        out.append(major << 5 | argument)
        return
    for additional, size in _ARGUMENT_BYTES.items():
        if argument < 1 << 8 * size:
            out.append(major << 5 | additional)
            out += argument.to_bytes(size, "big")
            return


def _read(data: bytes, offset: int, depth: int, left: Iterator[int]) -> tuple[object, int]:
    if next(left, None) is None:
        raise RejectedRecord(Reason.ENCODING, "more data items than this kind of payload can have")
    major, argument, offset = _read_head(data, offset)
    if major in (_UNSIGNED, _NEGATIVE):
        value = argument if major == _UNSIGNED else -1 - argument
        if abs(value) > INT_MAX:
            raise RejectedRecord(Reason.ENCODING, "an integer beyond +-(2**53 - 1)")
        return value, offset
    if major in (_BYTES, _TEXT):
        return _read_string(data, offset, argument, is_text=major == _TEXT)
    if major in (_ARRAY, _MAP):
        if depth == 0:
            raise RejectedRecord(Reason.ENCODING, f"containers nested more than {DEPTH_MAX} deep")
        read = _read_array if major == _ARRAY else _read_map
        return read(data, offset, argument, depth - 1, left)
    if major == _SIMPLE and argument in _SIMPLE_VALUES and data[offset - 1] == major << 5 | argument:
        return _SIMPLE_VALUES[argument], offset
    raise RejectedRecord(Reason.ENCODING, "a tag, a float, or a simple value other than true, false and null")


def _read_head(data: bytes, offset: int) -> tuple[int, int, int]:
    if offset >= len(data):
        raise RejectedRecord(Reason.ENCODING, "the data ends where a value should begin")
    major, additional = data[offset] >> 5, data[offset] & 0x1F
    offset += 1
    if additional < 24:
        return major, additional, offset
    size = _ARGUMENT_BYTES.get(additional)
    if size is None:
        raise RejectedRecord(Reason.ENCODING, "an indefinite length or a reserved head")
    if offset + size > len(data):
        raise RejectedRecord(Reason.ENCODING, "the data ends inside a head")
    return major, int.from_bytes(data[offset : offset + size], "big"), offset + size


def _read_string(data: bytes, offset: int, size: int, *, is_text: bool) -> tuple[object, int]:
    end = offset + size
    if end > len(data):
        raise RejectedRecord(Reason.ENCODING, "the data ends inside a string")
    raw = data[offset:end]
    if not is_text:
        return raw, end
    try:
        return raw.decode(), end
    except UnicodeDecodeError as error:
        raise RejectedRecord(Reason.ENCODING, f"text is not UTF-8: {error.reason}") from None


def _read_array(data: bytes, offset: int, count: int, depth: int, left: Iterator[int]) -> tuple[object, int]:
    items: list[object] = []
    # a false count ends at the first missing item, because every item takes at least a byte
    for _ in range(count):
        item, offset = _read(data, offset, depth, left)
        items.append(item)
    return tuple(items), offset


def _read_map(data: bytes, offset: int, count: int, depth: int, left: Iterator[int]) -> tuple[object, int]:
    items: dict[str, object] = {}
    for _ in range(count):  # a duplicate key is stored once, so the comparison in `decode` fails
        key, offset = _read(data, offset, depth, left)
        if not isinstance(key, str):
            raise RejectedRecord(Reason.ENCODING, "a map key that is not text")
        items[key], offset = _read(data, offset, depth, left)
    return items, offset
