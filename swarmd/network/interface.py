"""What the rest of the daemon may ask of a network. Implemented over hivemind and in memory.

Bytes in, bytes out: this layer moves signed envelopes and does not read their payloads, except that
storing nodes refuse what `protocol` refuses. It neither scores nor decides what to pull.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import PeerId
from swarmd.errors import NetworkError

BodyProvider = Callable[[bytes], bytes | None]
"""digest (32 bytes) -> the record's envelope, or None if not held. Called on the event loop: be quick."""


class PullFailedError(NetworkError):
    """A body could not be had from that peer: unreachable, absent, too slow, too large or not the digest."""


class NetworkClosedError(NetworkError):
    """The network was used after `close`, or its p2p process could not be brought back."""


class ClockSkewError(NetworkError):
    """All peers that answered have another time than this machine: its records would be refused."""


@dataclass(frozen=True)
class NetworkStatistics:
    """An immutable snapshot of the transport."""

    connected_peers: int
    restarts: int
    """How often the p2p process died and was brought back."""
    bytes_pulled: int
    pulls_failed: int
    dialable: bool
    problems: tuple[str, ...] = ()
    """For a person: what is wrong and what to do."""


class Network(Protocol):
    """One peer's view of the swarm's transport."""

    @property
    def peer_id(self) -> PeerId: ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Multiaddrs with /p2p/ at the end, by which others reach this peer; most public first."""
        ...

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:
        """Answer pulls from `bodies` and manifest requests with `manifest` (canonical bytes) from now on."""
        ...

    async def connect(self, addresses: Sequence[str]) -> int:
        """Dial `addresses` (with /p2p/), join their DHT; returns how many answered.

        A dead peer is no error. Raises ConfigError for a malformed address, ClockSkewError, NetworkError.
        """
        ...

    async def fetch_manifest(self, address: str) -> bytes:
        """The manifest that the peer at `address` serves. Raises NetworkError."""
        ...

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        """Store signed announcements under their own (round, task, shard) keys; returns how many are held."""
        ...

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        """All live announcement envelopes under keys of `protocol.announcement_key`: fresh, not cached."""
        ...

    async def publish_status(self, envelope: bytes) -> bool:
        """Store this peer's signed status under its membership key."""
        ...

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        """All live status envelopes under the DHT keys of `protocol.membership_key`."""
        ...

    async def store_body(self, envelope: bytes) -> bool:
        """Store a body in the DHT under its digest, for publishers that cannot be dialled."""
        ...

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> bytes:
        """The envelope with SHA-256 `digest`, from `peer_id` or from the DHT. Raises PullFailedError."""
        ...

    def statistics(self) -> NetworkStatistics: ...

    async def close(self) -> None:
        """Stop serving and leave. Idempotent."""
        ...
