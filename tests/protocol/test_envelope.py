"""Signed envelopes: one byte string each, bound to signer, domain and payload type."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import InvalidLocal, KeyPair, Opened, Reason, RejectedRecord, open_envelope, seal

DOMAIN, KIND, SIZE_MAX = "test", b"/test/1", 70_000
payloads = st.binary(min_size=1, max_size=300)


def open_test(data: bytes) -> Opened:
    return open_envelope(data, DOMAIN, KIND, SIZE_MAX)


@given(st.binary(min_size=32, max_size=32), payloads)
def test_what_is_sealed_opens_to_signer_and_payload(seed, payload):
    key = KeyPair.from_seed(seed)

    assert open_test(seal(key, DOMAIN, KIND, payload)) == Opened(key.peer_id, payload, KIND)


@pytest.mark.parametrize("size", [127, 128, 16_383, 16_384, 65_536])
def test_lengths_of_every_width_are_read_back(publisher, size):
    assert open_test(seal(publisher, DOMAIN, KIND, bytes(size))).payload == bytes(size)


def test_any_flipped_bit_is_rejected(publisher):
    data = seal(publisher, DOMAIN, KIND, b"payload")

    for bit in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(RejectedRecord):
            open_test(bytes(flipped))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected_with_a_reason_and_nothing_else(data):
    with pytest.raises(RejectedRecord):
        open_test(data)


@given(payloads, st.data())
@settings(max_examples=50)
def test_truncated_and_extended_envelopes_are_rejected(payload, data):
    sealed = seal(KeyPair.from_seed(bytes(32)), DOMAIN, KIND, payload)
    cut = data.draw(st.integers(0, len(sealed) - 1))
    more = data.draw(st.binary(min_size=1, max_size=9))

    for other in (sealed[:cut], sealed + more, more + sealed):
        with pytest.raises(RejectedRecord) as caught:
            open_test(other)
        assert caught.value.reason is Reason.ENVELOPE


@given(st.binary(max_size=40), st.binary(max_size=20), st.binary(max_size=40), st.binary(max_size=70))
def test_well_framed_nonsense_is_rejected(public, kind, payload, signature):
    def field(tag: int, value: bytes) -> bytes:
        return bytes([tag, len(value)]) + value

    with pytest.raises(RejectedRecord) as caught:
        open_test(field(0x0A, public) + field(0x12, kind) + field(0x1A, payload) + field(0x2A, signature))
    expected = (Reason.KEY, Reason.PAYLOAD_TYPE, Reason.SIGNATURE) if payload else (Reason.ENVELOPE,)
    assert caught.value.reason in expected


def test_the_size_is_checked_before_anything_else(publisher):
    data = seal(publisher, DOMAIN, KIND, b"payload")

    assert open_envelope(data, DOMAIN, KIND, len(data)).payload == b"payload"
    with pytest.raises(RejectedRecord) as caught:
        open_envelope(b"\xff" * len(data), DOMAIN, KIND, len(data) - 1)
    assert caught.value.reason is Reason.SIZE


def test_moving_bytes_between_domain_type_and_payload_breaks_the_signature(publisher):
    data = seal(publisher, "ab", b"cd", b"ef")

    for domain, kind in (("abc", b"d"), ("a", b"bcd")):
        with pytest.raises(RejectedRecord):
            open_envelope(data, domain, kind, SIZE_MAX)


@pytest.mark.parametrize("parts", [("", b"k", b"p"), ("d", b"", b"p"), ("d", b"k", b"")])
def test_sealing_emptiness_is_our_mistake(publisher, parts):
    with pytest.raises(InvalidLocal):
        seal(publisher, *parts)
