"""Compression of record bodies for transport (SPEC section 10.10). Rollouts are text and compress well."""

from __future__ import annotations

import zlib

from protocol.errors import Reason, RejectedRecord

LEVEL = 1  # zlib: under 0.5 ms for the worst 64 KiB; level 6 takes 4.6 ms and saves only 1 to 6%
WINDOW_BITS = zlib.MAX_WBITS  # 32 KiB with an RFC 1950 header, neither a raw stream nor gzip


def compressed_bytes_max(size: int) -> int:
    """Return the most bytes that a body of `size` bytes can take when compressed.

    Incompressible data is stored in blocks of 16 KiB with 5 bytes of overhead each, plus 11 bytes for the
    stream (no less than zlib's `deflateBound`).
    """
    return size + 5 * (size // 16_384 + 1) + 11


def compress_body(envelope: bytes) -> bytes:
    """Compress a record's envelope into a zlib stream (RFC 1950)."""
    return zlib.compress(envelope, LEVEL, WINDOW_BITS)


def decompress_body(data: bytes, size: int) -> bytes:
    """Decompress `data` into an envelope of at most `size` bytes. Produces at most one byte more than that.

    Raises RejectedRecord: `size` if the envelope is larger, `encoding` if `data` is not exactly one zlib
    stream.
    """
    if len(data) > compressed_bytes_max(size):
        raise RejectedRecord(Reason.SIZE, f"{len(data)} bytes is more than a body of {size} bytes can take")
    stream = zlib.decompressobj(WINDOW_BITS)
    try:
        body = stream.decompress(data, size + 1)
    except zlib.error as error:
        raise RejectedRecord(Reason.ENCODING, f"not a zlib stream: {error}") from error
    if len(body) > size:
        raise RejectedRecord(Reason.SIZE, f"more than {size} bytes after decompression")
    if not stream.eof:
        raise RejectedRecord(Reason.ENCODING, "the zlib stream is incomplete")
    if stream.unused_data:
        raise RejectedRecord(Reason.ENCODING, f"{len(stream.unused_data)} bytes after the zlib stream")
    return body
