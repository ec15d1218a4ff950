"""The protocol's error tree.

ProtocolError
+-- RejectedRecord   theirs: received bytes that must not be used, with one `Reason`
+-- InvalidLocal     ours: this side tried to build or ask for something the protocol forbids
"""

from __future__ import annotations

from enum import StrEnum, unique

_DETAIL_CHARS_MAX = 240  # details quote hostile input and end up in logs and in the ledger


@unique
class Reason(StrEnum):
    """Why received bytes were refused (SPEC section 8). The values are stable because ledgers count them."""

    SIZE = "size"
    """larger than its kind may be"""
    ENVELOPE = "envelope"
    """not a signed envelope in its one canonical form"""
    KEY = "key"
    """the public key or peer id is not a usable Ed25519 one"""
    SIGNATURE = "signature"
    """the signature does not hold for this domain, payload type and payload"""
    PAYLOAD_TYPE = "payload_type"
    """a signed thing of another kind"""
    ENCODING = "encoding"
    """the payload is not CBOR of this protocol's profile"""
    NOT_CANONICAL = "not_canonical"
    """the payload has another, shorter or differently ordered, encoding"""
    SCHEMA = "schema"
    """a field is missing, unknown, of the wrong type or out of bounds"""
    SWARM = "swarm"
    """made for another swarm"""
    ROUND = "round"
    """the round does not follow from the time of creation"""
    EXPIRED = "expired"
    """its time is over"""
    LIFETIME = "lifetime"
    """it would live longer than allowed or not at all, or is stored until another time than it states"""
    CLOCK = "clock"
    """created in the receiver's future by more than the tolerated skew, or of a round that has not begun"""
    DIGEST = "digest"
    """not the bytes that were asked for"""
    TOPIC = "topic"
    """stored under a key that is not its own"""
    PUBLISHER = "publisher"
    """signed by another peer than the one expected"""
    TASK = "task"
    """the swarm's manifest does not allow this task, or this much of it"""
    VERSION = "version"
    """the receiver has another version of the task's source"""
    QUESTION = "question"
    """the regenerated question is another one"""
    HELD_OUT = "held_out"
    """the question belongs to the evaluation partition"""
    OWN = "own"
    """signed by the receiver itself"""
    SCORER = "scorer"
    """the receiver's own scorer could not judge it"""
    COMPLETION = "completion"
    """one of its completions hung or ended the receiver's scorer"""


class ProtocolError(Exception):
    """Root of the tree."""


class RejectedRecord(ProtocolError):  # noqa: N818  a verdict on received bytes, and the project's term for it
    """Received bytes that must not be used, with a single reason."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        self.detail = ascii(detail)[1:-1][:_DETAIL_CHARS_MAX]
        super().__init__(f"{reason.value}: {self.detail}")


class InvalidLocal(ProtocolError):  # noqa: N818  the counterpart of RejectedRecord
    """A value built by this side that the protocol forbids. The message names the bound it breaks."""
