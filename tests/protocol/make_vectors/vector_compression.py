"""Vectors of bodies as they travel: zlib streams, with the size that was announced."""

from __future__ import annotations

import struct
import zlib

from vector_subjects import ALICE, RECORD, Json

import protocol as p
from protocol import limits

ENVELOPE = p.sign_record(ALICE, RECORD)
STREAM_HEAD = bytes.fromhex("7801")
DICTIONARY_HEAD = bytes.fromhex("78bb")
SWARM = bytes.fromhex("789c2b2e4f2cca55281e3124003e2d5b91")
"""`swarm ` forty times. Written down, because implementations of zlib compress differently."""


def _block(text: bytes, *, last: bool = True) -> bytes:
    """One that is stored as it is (RFC 1951, 3.2.4)."""
    return bytes([last]) + struct.pack("<HH", len(text), len(text) ^ 0xFFFF) + text


def _stream(text: bytes) -> bytes:
    return STREAM_HEAD + _block(text) + zlib.adler32(text).to_bytes(4, "big")


def compression_file() -> Json:
    def valid(name: str, data: bytes, body: bytes, size: int | None = None) -> Json:
        return {
            "name": name,
            "data": data.hex(),
            "size": len(body) if size is None else size,
            "body": body.hex(),
        }

    def bad(name: str, reason: str, data: bytes, size: int = len(ENVELOPE)) -> Json:
        return {"name": name, "data": data.hex(), "size": size, "reason": reason}

    sound = _stream(ENVELOPE)
    halves = _block(ENVELOPE[:100], last=False) + _block(ENVELOPE[100:])
    return {
        "valid": [
            valid("an envelope, stored", sound, ENVELOPE),
            valid(
                "in two blocks", STREAM_HEAD + halves + zlib.adler32(ENVELOPE).to_bytes(4, "big"), ENVELOPE
            ),
            valid("compressed", SWARM, b"swarm " * 40),
            valid("less than was announced", _stream(b"short"), b"short", 600),
            valid("nothing", _stream(b""), b"", 0),
        ],
        "invalid": [
            bad("one byte more than was announced", "size", sound, len(ENVELOPE) - 1),
            bad("far more than was announced", "size", SWARM, 10),
            {
                "name": "longer than any body compressed",
                "zero_bytes": p.compressed_bytes_max(limits.RECORD_BYTES_MAX) + 1,
                "size": limits.RECORD_BYTES_MAX,
                "reason": "size",
            },
            bad("longer than a body of that size compressed", "size", _stream(bytes(60)), 10),
            bad("no bytes", "encoding", b""),
            bad("an envelope as it is", "encoding", ENVELOPE),
            bad("without its end", "encoding", sound[:-1]),
            bad("without its checksum", "encoding", sound[:-4]),
            bad("with another checksum", "encoding", sound[:-1] + bytes([sound[-1] ^ 1])),
            bad("bytes behind it", "encoding", sound + b"\0"),
            bad("two streams", "encoding", _stream(b"one") + _stream(b"two")),
            bad("a raw deflate stream", "encoding", _block(ENVELOPE)),
            bad("a gzip head", "encoding", bytes.fromhex("1f8b0800000000000003") + _block(ENVELOPE)),
            bad("a dictionary that nobody has", "encoding", DICTIONARY_HEAD + bytes(4) + sound[2:]),
            bad("a block of an unknown kind", "encoding", STREAM_HEAD + b"\x07" + sound[3:]),
        ],
    }
