"""Keys: the peer id carries the public key, and the identity file is libp2p's own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import (
    InvalidLocal,
    KeyPair,
    PeerId,
    Reason,
    RejectedRecord,
    peer_id_from_public_key,
    public_key_from_peer_id,
)
from protocol.keys import SMALL_ORDER_Y, verify_signature

seeds = st.binary(min_size=32, max_size=32)


@given(seeds)
def test_the_peer_id_gives_the_public_key_back(seed):
    key = KeyPair.from_seed(seed)

    assert key.peer_id.startswith("12D3KooW")
    assert public_key_from_peer_id(key.peer_id) == key.public_key
    assert peer_id_from_public_key(key.public_key) == key.peer_id


@given(seeds)
def test_the_identity_file_gives_the_key_back(seed):
    key = KeyPair.from_seed(seed)
    again = KeyPair.from_libp2p(key.to_libp2p())

    assert len(key.to_libp2p()) == 68
    assert again.peer_id == key.peer_id
    assert again.sign(b"m") == key.sign(b"m")


@given(seeds, st.integers(0, 68 * 8 - 1))
def test_a_damaged_identity_file_is_refused(seed, bit):
    data = bytearray(KeyPair.from_seed(seed).to_libp2p())
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(InvalidLocal):
        KeyPair.from_libp2p(bytes(data))


@pytest.mark.parametrize("size", [0, 3, 67, 69])
def test_an_identity_file_of_the_wrong_size_is_refused(publisher, size):
    with pytest.raises(InvalidLocal):
        KeyPair.from_libp2p((publisher.to_libp2p() + b"\0")[:size])


def test_a_seed_has_32_bytes():
    with pytest.raises(InvalidLocal, match="32"):
        KeyPair.from_seed(bytes(31))


def test_the_text_form_names_the_peer_and_not_the_secret(publisher):
    assert repr(publisher) == f"KeyPair({publisher.peer_id})"


@given(
    st.text(max_size=80)
    | st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=52, max_size=52)
)
def test_text_that_is_no_peer_id_is_refused_and_nothing_else_is_raised(text):
    with pytest.raises(RejectedRecord) as caught:
        public_key_from_peer_id(PeerId(text))
    assert caught.value.reason is Reason.KEY


@given(st.binary(max_size=40))
def test_any_32_bytes_are_a_peer_id_or_refused(raw):
    try:
        peer_id = peer_id_from_public_key(raw)
    except RejectedRecord as rejected:
        reason = rejected.reason
    else:
        assert public_key_from_peer_id(peer_id) == raw
        return
    assert reason is Reason.KEY


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=70))
def test_forged_signatures_are_refused_whatever_the_key(public_key, signature):
    with pytest.raises(RejectedRecord) as caught:
        verify_signature(public_key, signature, b"message")
    assert caught.value.reason is Reason.SIGNATURE


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def doubled(point: tuple[int, int]) -> tuple[int, int]:
    x, y = point
    cross = D * x * x * y * y
    return (2 * x * y * pow(1 + cross, -1, P) % P, (y * y + x * x) * pow(1 - cross, -1, P) % P)


def test_the_refused_points_are_those_whose_order_divides_eight():
    for y in SMALL_ORDER_Y:
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        x = pow(square, (P + 3) // 8, P)
        x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
        assert x * x % P == square, "not on the curve"
        assert doubled(doubled(doubled((x, y)))) == (0, 1)
    assert len(SMALL_ORDER_Y) == 5  # eight points: two signs each for the three y with x != 0


def test_what_is_no_peer_id_is_refused_each_time(publisher):
    wrong = publisher.peer_id[:-1] + "0"  # not a digit of base 58
    for _ in range(2):
        with pytest.raises(RejectedRecord):
            public_key_from_peer_id(wrong)
        with pytest.raises(RejectedRecord):
            peer_id_from_public_key(bytes(32))
    assert public_key_from_peer_id(publisher.peer_id) == publisher.public_key
