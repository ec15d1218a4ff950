"""The charter: the author's signed word on a swarm. It says which rules, which version, and where to meet.

A manifest has no author, and its hash names the swarm. A charter names that hash. So bootstrap addresses can
change while the swarm stays the same, and new rules are a new swarm that the same author vouches for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from protocol import limits
from protocol.envelope import assemble, open_envelope, seal
from protocol.errors import InvalidLocal, Reason, RejectedRecord
from protocol.keys import KeyPair, PeerId, public_key_from_peer_id
from protocol.payload import Address, Digest, Name, Payload, Timestamp

CHARTER_DOMAIN = "swarmd-charter"
CHARTER_PAYLOAD_TYPE = b"/swarmd/charter/1"

_SIGNATURE_BYTES = 64  # of Ed25519
_URL = re.compile(r"https://[!-~]+")


def _url(value: str) -> str:
    if len(value) > limits.URL_BYTES_MAX:
        raise ValueError(f"{len(value)} characters, at most {limits.URL_BYTES_MAX} are allowed")
    if not _URL.fullmatch(value):
        raise ValueError("not a URL: expected ASCII text that begins with https:// and has no space")
    return value


Url = Annotated[str, AfterValidator(_url)]


class Charter(Payload):
    """What an author signs about one version of a swarm (SPEC section 6.12)."""

    ITEMS_MAX: ClassVar[int] = limits.CHARTER_ITEMS_MAX

    name: Name
    """the manifest's name: versions of one swarm have one author and one name"""
    version: Annotated[int, Field(ge=1, le=limits.INT_MAX)]
    """a higher one replaces a lower one of the same author and name"""
    swarm: Digest
    """the swarm id of the rules"""
    created: Timestamp
    bootstrap: Annotated[tuple[Address, ...], Field(max_length=limits.ADDRESSES_MAX)]
    """multiaddrs to join through"""
    urls: Annotated[tuple[Url, ...], Field(max_length=limits.URLS_MAX)]
    """where the manifest file can be had"""


@dataclass(frozen=True, slots=True)
class VerifiedCharter:
    """A charter that its author really signed, with the bytes that prove it."""

    charter: Charter
    author: PeerId
    envelope: bytes

    @property
    def signature(self) -> bytes:
        """The last field of the envelope: 64 bytes."""
        return self.envelope[-_SIGNATURE_BYTES:]

    def replaces(self, other: VerifiedCharter) -> bool:
        """Whether this is a later version of the same author's swarm."""
        same = (self.author, self.charter.name) == (other.author, other.charter.name)
        return same and self.charter.version > other.charter.version


def sign_charter(key: KeyPair, charter: Charter) -> bytes:
    """The charter's envelope. Raises InvalidLocal above CHARTER_BYTES_MAX."""
    envelope = seal(key, CHARTER_DOMAIN, CHARTER_PAYLOAD_TYPE, charter.to_bytes())
    if len(envelope) > limits.CHARTER_BYTES_MAX:
        raise InvalidLocal(
            f"a charter of {len(envelope)} bytes, at most {limits.CHARTER_BYTES_MAX} are allowed: name fewer "
            "addresses"
        )
    return envelope


def join_charter(author: PeerId, charter: Charter, signature: bytes) -> bytes:
    """The envelope of a charter that was kept in parts, as in a manifest file. Checks no signature.

    Raises RejectedRecord(key) for an unusable author.
    """
    return assemble(public_key_from_peer_id(author), CHARTER_PAYLOAD_TYPE, charter.to_bytes(), signature)


def verify_charter(data: bytes, *, author: PeerId | None = None) -> VerifiedCharter:
    """Check received bytes in the order of SPEC section 8.9. `author`: who must have signed, if known.

    Raises RejectedRecord.
    """
    opened = open_envelope(data, CHARTER_DOMAIN, CHARTER_PAYLOAD_TYPE, limits.CHARTER_BYTES_MAX)
    if author is not None and opened.peer_id != author:
        raise RejectedRecord(Reason.PUBLISHER, f"signed by {opened.peer_id}, not by {author}")
    return VerifiedCharter(Charter.from_bytes(opened.payload), opened.peer_id, data)
