"""The messages of libp2p's circuit relay: ours, and whatever a peer may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import KeyPair
from swarmd.network.malformed import MessageError
from swarmd.network.peer_ids import write_peer_id
from swarmd.network.reach.circuit import FIELDS_MAX, Hop, Kind, Limit, Status, Stop, with_length

PEER = KeyPair.from_seed(bytes(32)).peer_id


@pytest.mark.parametrize(
    "message",
    [
        Hop(Kind.RESERVE),
        Hop(Kind.CONNECT, peer=PEER),
        Hop(Kind.STATUS, expires=1_800_000_000, status=Status.OK),
        Hop(Kind.STATUS, limit=Limit(600, 2**24), status=Status.OK),
        Hop(Kind.STATUS, status=Status.NO_RESERVATION),
    ],
)
def test_a_hop_message_is_read_as_it_was_written(message: Hop) -> None:
    assert Hop.read(message.to_bytes()) == message


def test_a_stop_message_is_read_as_it_was_written() -> None:
    for message in (Stop(PEER, Limit(600, 2**24)), Stop(status=Status.OK)):
        assert Stop.read(message.to_bytes()) == message


def test_bytes_are_those_of_the_specification() -> None:
    """Field numbers and types as in the protobuf of circuit-v2.md."""
    peer = write_peer_id(PEER)
    assert Hop(Kind.RESERVE).to_bytes() == b"\x08\x00"
    assert Hop(Kind.CONNECT, peer=PEER).to_bytes() == b"\x08\x01\x12\x28\x0a\x26" + peer
    assert Hop(Kind.STATUS, status=Status.OK).to_bytes() == b"\x08\x02\x28\x64"
    assert Stop(status=Status.OK).to_bytes() == b"\x08\x01\x20\x64"
    assert with_length(Hop(Kind.RESERVE)) == b"\x02\x08\x00"


def test_what_is_not_needed_is_skipped() -> None:
    with_voucher = b"\x08\x02" + b"\x1a\x0a\x08\x07\x12\x02\xff\xff\x1a\x02ab" + b"\x28\x64"
    assert Hop.read(with_voucher) == Hop(Kind.STATUS, expires=7, status=Status.OK)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "unknown kind"),
        (b"\x08\x03", "unknown kind"),
        (b"\x08\x01\x12\x02\x0a\x00", "0 bytes that are not"),
        (b"\x08\x01\x12\x00", "without an id"),
        (b"\x08\x01\x10\x01", "a number instead of bytes"),
        (b"\x08\x02\x2a\x01a", "unknown status"),
        (b"\x08\x02\x28\x63", "unknown status"),
        (b"\x08\x02\x12\x7f", "truncated"),
        (b"\x08\x02\x0d\x00\x00\x00\x00", "wrong type"),
        (b"\x08" + b"\xff" * 11, "overlong"),
        (b"\x08\x02" * (FIELDS_MAX + 1), "more than"),
    ],
)
def test_a_message_that_breaks_the_rules_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MessageError, match=why):
        Hop.read(data)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for read in (Hop.read, Stop.read):
        try:
            read(data)
        except MessageError:
            continue
