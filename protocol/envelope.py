"""libp2p signed envelopes (libp2p RFC 0002), hand-written and strict.

message Envelope { PublicKey public_key = 1; bytes payload_type = 2; bytes payload = 3; bytes signature = 5; }

Protobuf allows fields to repeat, to come in any order, and to have padded lengths. Here each field occurs
once, in order, in its shortest form. An envelope therefore has exactly one byte string, and its SHA-256
identifies it. This module treats payloads as opaque.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.keys import (
    KeyPair,
    PeerId,
    peer_id_from_public_key,
    public_key_from_libp2p,
    public_key_to_libp2p,
    verify_signature,
)

_PUBLIC_KEY, _PAYLOAD_TYPE, _PAYLOAD, _SIGNATURE = 0x0A, 0x12, 0x1A, 0x2A  # field number << 3 | 2 (bytes)
_SIGNATURE_BYTES = 64
_VARINT_BYTES_MAX = 4  # 2**28: far above any message; bounds a length before it is compared


@dataclass(frozen=True, slots=True)
class Opened:
    """The signer and payload of an envelope whose signature is valid. The payload has not been parsed."""

    peer_id: PeerId
    payload: bytes
    payload_type: bytes


def seal(key: KeyPair, domain: str, payload_type: bytes, payload: bytes) -> bytes:
    """Return the signed envelope of `payload`. Raises InvalidLocal if an argument is empty."""
    if not (domain and payload_type and payload):
        raise InvalidLocal("domain, payload type and payload of an envelope must not be empty")
    signature = key.sign(_signed_bytes(domain, payload_type, payload))
    return assemble(key.public_key, payload_type, payload, signature)


def assemble(public_key: bytes, payload_type: bytes, payload: bytes, signature: bytes) -> bytes:
    """Build an envelope from parts that were stored separately. Checks nothing; `open_envelope` does."""
    fields = (
        (_PUBLIC_KEY, public_key_to_libp2p(public_key)),
        (_PAYLOAD_TYPE, payload_type),
        (_PAYLOAD, payload),
        (_SIGNATURE, signature),
    )
    return b"".join(bytes([tag]) + _prefixed(value) for tag, value in fields)


def open_envelope(data: bytes, domain: str, payload_type: bytes, size_max: int, *others: bytes) -> Opened:
    """Check `data` in the order of SPEC section 8.1 and return its signer and payload.

    `others` are further payload types to accept, such as other versions of the same payload.
    Raises RejectedRecord with reason size, envelope, key, payload_type or signature.
    """
    if len(data) > size_max:
        raise RejectedRecord(Reason.SIZE, f"{len(data)} bytes, at most {size_max} are allowed")
    public, offset = _read_field(data, 0, _PUBLIC_KEY)
    kind, offset = _read_field(data, offset, _PAYLOAD_TYPE)
    payload, offset = _read_field(data, offset, _PAYLOAD)
    signature, offset = _read_field(data, offset, _SIGNATURE)
    if offset != len(data):
        raise RejectedRecord(Reason.ENVELOPE, f"{len(data) - offset} bytes after the signature")
    if not payload:
        raise RejectedRecord(Reason.ENVELOPE, "an empty payload")
    public_key = public_key_from_libp2p(public)
    if kind not in (payload_type, *others):
        raise RejectedRecord(Reason.PAYLOAD_TYPE, f"payload type {kind[:64]!r} instead of {payload_type!r}")
    if len(signature) != _SIGNATURE_BYTES:
        raise RejectedRecord(
            Reason.SIGNATURE, f"a signature of {len(signature)} bytes, not {_SIGNATURE_BYTES}"
        )
    verify_signature(public_key, signature, _signed_bytes(domain, kind, payload))
    return Opened(peer_id_from_public_key(public_key), payload, kind)


def _signed_bytes(domain: str, payload_type: bytes, payload: bytes) -> bytes:
    return b"".join(_prefixed(part) for part in (domain.encode(), payload_type, payload))


def _prefixed(value: bytes) -> bytes:
    return _uvarint(len(value)) + value


def _uvarint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_field(data: bytes, offset: int, tag: int) -> tuple[bytes, int]:
    if data[offset : offset + 1] != bytes([tag]):
        raise RejectedRecord(Reason.ENVELOPE, f"field {tag >> 3} is missing, repeated or out of order")
    size, start = _read_uvarint(data, offset + 1)
    end = start + size
    if end > len(data):
        raise RejectedRecord(Reason.ENVELOPE, f"the envelope ends inside field {tag >> 3}")
    return data[start:end], end


def _read_uvarint(data: bytes, offset: int) -> tuple[int, int]:
    number = 0
    for position, byte in enumerate(data[offset : offset + _VARINT_BYTES_MAX]):
        number |= (byte & 0x7F) << 7 * position
        if byte < 0x80:
            if byte == 0 and position > 0:
                break  # a padded length: the same number has a shorter encoding
            return number, offset + position + 1
    raise RejectedRecord(Reason.ENVELOPE, "a length is cut off, padded or too large")
