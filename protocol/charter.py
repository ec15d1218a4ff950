"""The charter: an author's signed statement about a swarm. It names the rules, the version and where to join.

A manifest has no author; its hash is the swarm's id. A charter names that hash. Bootstrap addresses can
therefore change without changing the swarm, and new rules make a new swarm that the same author vouches for.
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

_SIGNATURE_BYTES = 64  # Ed25519
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
    """the manifest's name; all versions of a swarm share one author and one name"""
    version: Annotated[int, Field(ge=1, le=limits.INT_MAX)]
    """a higher version replaces a lower one by the same author under the same name"""
    swarm: Digest
    """the swarm id of the rules"""
    created: Timestamp
    bootstrap: Annotated[tuple[Address, ...], Field(max_length=limits.ADDRESSES_MAX)]
    """multiaddrs of peers to join through"""
    urls: Annotated[tuple[Url, ...], Field(max_length=limits.URLS_MAX)]
    """where to download the manifest file"""


@dataclass(frozen=True, slots=True)
class VerifiedCharter:
    """A charter whose signature by its author was verified, with the bytes that prove it."""

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
    """Return the charter's envelope. Raises InvalidLocal if it exceeds CHARTER_BYTES_MAX."""
    envelope = seal(key, CHARTER_DOMAIN, CHARTER_PAYLOAD_TYPE, charter.to_bytes())
    if len(envelope) > limits.CHARTER_BYTES_MAX:
        raise InvalidLocal(
            f"a charter of {len(envelope)} bytes, at most {limits.CHARTER_BYTES_MAX} are allowed: "
            "name fewer addresses"
        )
    return envelope


def join_charter(author: PeerId, charter: Charter, signature: bytes) -> bytes:
    """Return the envelope of a charter whose parts were stored separately, as in a manifest file.

    Does not check the signature. Raises RejectedRecord(key) if `author` is not a usable peer id.
    """
    return assemble(public_key_from_peer_id(author), CHARTER_PAYLOAD_TYPE, charter.to_bytes(), signature)


def verify_charter(data: bytes, *, author: PeerId | None = None) -> VerifiedCharter:
    """Check received bytes in the order of SPEC section 8.9. `author`: the expected signer, if known.

    Raises RejectedRecord.
    """
    opened = open_envelope(data, CHARTER_DOMAIN, CHARTER_PAYLOAD_TYPE, limits.CHARTER_BYTES_MAX)
    if author is not None and opened.peer_id != author:
        raise RejectedRecord(Reason.PUBLISHER, f"signed by {opened.peer_id}, not by {author}")
    return VerifiedCharter(Charter.from_bytes(opened.payload), opened.peer_id, data)
