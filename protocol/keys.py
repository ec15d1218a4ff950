"""Ed25519 keys and libp2p peer ids. A peer id contains the public key, so a signature proves its author.

Sources: libp2p specs "peer-ids" (protobuf keys, identity multihash, base58btc), RFC 8032 (Ed25519).
Only Ed25519 keys are accepted. This module uses no randomness: callers supply the seeds.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NewType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.errors import InvalidLocal, Reason, RejectedRecord

PeerId = NewType("PeerId", str)
"""The base58btc text of an Ed25519 peer id, "12D3KooW...", 52 characters."""

PEER_ID_BYTES = 52
"""Base58 characters in every Ed25519 peer id, equal to its length in ASCII bytes."""

PEER_IDS_REMEMBERED = 4_096
"""Peer ids and keys cached, about 250 bytes each. Base58 takes 20 us or more, and a peer meets the same few
hundred peers repeatedly.
"""

_KEY_BYTES = 32
_ED25519_PUBLIC = bytes.fromhex("08011220")  # protobuf PublicKey{Type=Ed25519(1), Data=32 bytes}
_ED25519_PRIVATE = bytes.fromhex(
    "08011240"
)  # protobuf PrivateKey{Type=Ed25519(1), Data=64 bytes: seed, public}
_IDENTITY_MULTIHASH = bytes.fromhex("0024")  # code 0 (identity), 36 bytes
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_FIELD_PRIME = 2**255 - 19
SMALL_ORDER_Y = frozenset(
    int.from_bytes(bytes.fromhex(y), "little")
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""y of the eight points whose order divides 8. Under such a key, one signature is valid for every message."""


class KeyPair:
    """A peer's private key. Its `repr` shows the peer id, never the secret."""

    __slots__ = ("_private", "_seed", "peer_id", "public_key")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self._seed = private.private_bytes_raw()
        self.public_key = private.public_key().public_bytes_raw()
        self.peer_id = peer_id_from_public_key(self.public_key)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """Return the key pair of a 32-byte RFC 8032 seed. Raises InvalidLocal for any other length."""
        if len(seed) != _KEY_BYTES:
            raise InvalidLocal(f"an Ed25519 seed has {_KEY_BYTES} bytes, not {len(seed)}")
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def from_libp2p(cls, data: bytes) -> KeyPair:
        """Read a libp2p key file. Raises InvalidLocal if it is not one, since the file is this peer's own."""
        seed, public = data[4:36], data[36:]
        if data[:4] != _ED25519_PRIVATE or len(public) != _KEY_BYTES:
            raise InvalidLocal("not a libp2p Ed25519 private key: expected protobuf 08 01 12 40 and 64 bytes")
        pair = cls.from_seed(seed)
        if pair.public_key != public:
            raise InvalidLocal(
                "the libp2p private key is damaged: its public half does not belong to its seed"
            )
        return pair

    def to_libp2p(self) -> bytes:
        """Return the 68-byte protobuf PrivateKey that libp2p implementations read as an identity file."""
        return _ED25519_PRIVATE + self._seed + self.public_key

    def sign(self, message: bytes) -> bytes:
        """RFC 8032 Ed25519 signature, 64 bytes, deterministic."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"KeyPair({self.peer_id})"


def public_key_to_libp2p(public_key: bytes) -> bytes:
    """Return the 36-byte protobuf PublicKey of 32 raw bytes."""
    return _ED25519_PUBLIC + public_key


def public_key_from_libp2p(data: bytes) -> bytes:
    """Return the 32 raw bytes of a protobuf PublicKey. Raises RejectedRecord(key) if it is not usable."""
    if data[:4] != _ED25519_PUBLIC:
        raise RejectedRecord(Reason.KEY, "not a libp2p Ed25519 public key")
    return _checked(data[4:])


def peer_id_from_public_key(public_key: bytes) -> PeerId:
    """Return the peer id of 32 raw bytes. Raises RejectedRecord(key) unless they are a usable Ed25519 key."""
    return _peer_id_of(public_key)


def public_key_from_peer_id(peer_id: str) -> bytes:
    """Return the 32 raw bytes inside an Ed25519 `peer_id`. Raises RejectedRecord(key) for anything else."""
    return _public_key_in(peer_id)


@lru_cache(PEER_IDS_REMEMBERED)  # exceptions are not cached
def _peer_id_of(public_key: bytes) -> PeerId:
    return PeerId(_base58_encode(_IDENTITY_MULTIHASH + public_key_to_libp2p(_checked(public_key))))


@lru_cache(PEER_IDS_REMEMBERED)
def _public_key_in(peer_id: str) -> bytes:
    raw = _base58_decode(peer_id) if len(peer_id) == PEER_ID_BYTES else b""
    if raw[:2] != _IDENTITY_MULTIHASH or _base58_encode(raw) != peer_id:
        raise RejectedRecord(Reason.KEY, f"not an Ed25519 peer id: {peer_id[:PEER_ID_BYTES]}")
    return public_key_from_libp2p(raw[2:])


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check a signature (RFC 8032 section 5.1.7). Raises RejectedRecord(signature) if it is not valid."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        raise RejectedRecord(
            Reason.SIGNATURE, "the signature is not valid for these bytes and this key"
        ) from None


def _checked(public_key: bytes) -> bytes:
    if len(public_key) != _KEY_BYTES:
        raise RejectedRecord(
            Reason.KEY, f"an Ed25519 public key has {_KEY_BYTES} bytes, not {len(public_key)}"
        )
    y = int.from_bytes(public_key, "little") & ~(1 << 255)  # the top bit is the sign of x
    if y >= _FIELD_PRIME or y in SMALL_ORDER_Y:
        raise RejectedRecord(Reason.KEY, "the public key is a small-order or non-canonical point")
    return public_key


def _base58_encode(raw: bytes) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def _base58_decode(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _BASE58.find(character)
        if digit < 0:
            return b""
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")
