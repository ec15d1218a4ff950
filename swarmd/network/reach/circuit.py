"""Strict encoding and parsing of libp2p's circuit relay messages. Pure.

A peer behind a NAT asks a relay for a place (RESERVE). A peer that wants to reach it asks the relay
(CONNECT), which asks the first peer in turn (a stop message) and then passes bytes between the two. All are
length-prefixed protobuf messages. Fields that are not needed here, vouchers and addresses of peers, are
skipped.

Source: https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md (version 0.2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from protocol import PeerId
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.peer_ids import read_peer_id, write_peer_id
from swarmd.network.varint import write_varint

HOP_PROTOCOL = "/libp2p/circuit/relay/0.2.0/hop"
"""From a peer to the relay."""

STOP_PROTOCOL = "/libp2p/circuit/relay/0.2.0/stop"
"""From the relay to the peer that has a place."""

MESSAGE_BYTES_MAX = 4_096
"""As in go-libp2p. A peer id and its addresses take a few hundred bytes."""

FIELDS_MAX = 64
"""Fields in one message. A reservation with eight addresses has ten."""


class Kind(IntEnum):
    """The type of a hop message. Stop messages use only CONNECT (0) and STATUS (1)."""

    RESERVE = 0
    CONNECT = 1
    STATUS = 2


class Status(IntEnum):
    """The answer of the relay, or of the peer behind it."""

    UNUSED = 0
    OK = 100
    RESERVATION_REFUSED = 200
    RESOURCE_LIMIT_EXCEEDED = 201
    PERMISSION_DENIED = 202
    CONNECTION_FAILED = 203
    NO_RESERVATION = 204
    MALFORMED_MESSAGE = 400
    UNEXPECTED_MESSAGE = 401


@dataclass(frozen=True)
class Limit:
    """What one circuit can carry before the relay ends it."""

    seconds: int
    bytes: int
    """In each direction."""


@dataclass(frozen=True)
class Hop:
    """A message between a peer and its relay."""

    kind: Kind
    peer: PeerId | None = None
    """The peer to connect to."""
    expires: int | None = None
    """When the place expires, in Unix seconds by the relay's clock."""
    limit: Limit | None = None
    status: Status = Status.UNUSED

    def to_bytes(self) -> bytes:
        """Encode without the length prefix."""
        parts = _number(1, self.kind)
        if self.peer is not None:
            parts += _block(2, _block(1, write_peer_id(self.peer)))
        if self.expires is not None:
            parts += _block(3, _number(1, self.expires))
        if self.limit is not None:
            parts += _block(4, _limit(self.limit))
        return parts + (_number(5, self.status) if self.status else b"")

    @classmethod
    def read(cls, data: bytes) -> Hop:
        """Parse a message. Raises MessageError."""
        fields = _fields(data)
        kind, peer, reservation = fields.get(1), fields.get(2), fields.get(3)
        if kind not in tuple(Kind):
            raise MessageError(Malformed.TYPE, "a hop message of unknown kind")
        expires = None if reservation is None else _fields(_bytes(reservation)).get(1)
        return cls(
            kind=Kind(kind),
            peer=None if peer is None else _peer(peer),
            expires=None if expires is None else _int(expires),
            limit=_read_limit(fields.get(4)),
            status=_status(fields.get(5, 0)),
        )


@dataclass(frozen=True)
class Stop:
    """A message between a relay and the peer that has a place."""

    peer: PeerId | None = None
    """The peer that wants to connect; None in an answer."""
    limit: Limit | None = None
    status: Status = Status.UNUSED

    def to_bytes(self) -> bytes:
        """Encode without the length prefix."""
        parts = _number(1, 0 if self.peer is not None else 1)
        if self.peer is not None:
            parts += _block(2, _block(1, write_peer_id(self.peer)))
        if self.limit is not None:
            parts += _block(3, _limit(self.limit))
        return parts + (_number(4, self.status) if self.status else b"")

    @classmethod
    def read(cls, data: bytes) -> Stop:
        """Parse a message. Raises MessageError."""
        fields = _fields(data)
        peer = fields.get(2)
        return cls(
            peer=None if peer is None else _peer(peer),
            limit=_read_limit(fields.get(3)),
            status=_status(fields.get(4, 0)),
        )


def with_length(message: Hop | Stop) -> bytes:
    """Encode a message with its length prefix."""
    data = message.to_bytes()
    return write_varint(len(data)) + data


# Protobuf -------------------------------------------------------------------------------------------


def _number(field: int, value: int) -> bytes:
    return write_varint(field << 3) + write_varint(value)


def _block(field: int, value: bytes) -> bytes:
    return write_varint(field << 3 | 2) + write_varint(len(value)) + value


def _limit(limit: Limit) -> bytes:
    return _number(1, limit.seconds) + _number(2, limit.bytes)


def _read_limit(found: int | bytes | None) -> Limit | None:
    if found is None:
        return None
    fields = _fields(_bytes(found))
    return Limit(_int(fields.get(1, 0)), _int(fields.get(2, 0)))


def _peer(found: int | bytes) -> PeerId:
    peer = _fields(_bytes(found)).get(1)
    if peer is None:
        raise MessageError(Malformed.PEER_ID, "a peer without an id")
    return read_peer_id(_bytes(peer))


def _status(found: int | bytes) -> Status:
    if found not in tuple(Status):
        raise MessageError(Malformed.STATUS, "an unknown status")
    return Status(_int(found))


def _int(found: int | bytes) -> int:
    if not isinstance(found, int):
        raise MessageError(Malformed.PROTOBUF, "bytes instead of a number")
    return found


def _bytes(found: int | bytes) -> bytes:
    if not isinstance(found, bytes):
        raise MessageError(Malformed.PROTOBUF, "a number instead of bytes")
    return found


def _fields(data: bytes) -> dict[int, int | bytes]:
    """Map each field to its last value, as protobuf requires."""
    return dict(_each_field(data))


def _each_field(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    at = 0
    for _ in range(FIELDS_MAX):
        if at == len(data):
            return
        tag, at = _varint(data, at)
        value, at = _varint(data, at)
        if tag & 7 == 0:
            yield tag >> 3, value
        elif tag & 7 == 2 and at + value <= len(data):
            yield tag >> 3, data[at : at + value]
            at += value
        else:
            raise MessageError(Malformed.PROTOBUF, "a truncated field or one of the wrong type")
    raise MessageError(Malformed.COUNT, f"more than {FIELDS_MAX} fields")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of at most 64 bits. Return it and the position after it."""
    number = 0
    for index, byte in enumerate(data[at : at + 10]):
        number |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return number & 2**64 - 1, at + index + 1
    raise MessageError(Malformed.PROTOBUF, "a truncated or overlong number")
