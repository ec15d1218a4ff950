"""The interface of a network, implemented over hivemind and in memory.

It moves signed envelopes as bytes and does not read their payloads, except that storing nodes refuse what
`protocol` refuses. It neither scores groups nor decides what to pull.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol

from protocol import MEMBERSHIP_SHARDS, PeerId
from swarmd.errors import NetworkError

BodyProvider = Callable[[bytes], bytes | None]
"""digest (32 bytes) -> the record's envelope, or None if not held. Called on the event loop: be quick."""


Delivered = Callable[[PeerId, bytes], None]
"""(peer, the record's envelope): the peer pulled a body and confirmed it. Called on the event loop: be quick.
"""


News = Callable[[bytes], None]
"""An announcement's envelope that passed the storage rules. Called on the event loop: be quick."""


class Standing(IntEnum):
    """How well this peer knows another, worst first. Gossip decides; the network serves in this order."""

    BANNED = 0
    """ignored because of its conduct, or on the operator's order"""
    STRANGER = 1
    """only its signature is known"""
    MET = 2
    """it is connected, or recently delivered something that was verified"""
    KNOWN = 3
    """it delivered verified groups for a long time, or the operator trusts it"""


class Misbehaviour(StrEnum):
    """An offence of a peer against the transport."""

    FLOOD = "flood"
    """it keeps sending more requests, streams or connections than the limits allow"""
    LIES = "lies"
    """answers that break the rules of messages or of storage"""
    REFUSES = "refuses"
    """it keeps refusing to store what it should"""


class PullFailure(StrEnum):
    """Why a body could not be fetched."""

    WRONG = "wrong"
    """the publisher sent bytes other than those it announced"""
    ABSENT = "absent"
    """the publisher answers, but does not hold the body"""
    BUSY = "busy"
    """the publisher is serving too many others: not its fault"""
    UNREACHABLE = "unreachable"
    """nobody answers, or the answer is too slow"""
    LOCAL = "local"
    """this machine's own transport failed: not the publisher's fault"""


class Way(StrEnum):
    """How a body arrived."""

    DIRECT = "direct"
    """over a connection to its publisher, which proves that the publisher is there"""
    RELAY = "relay"
    """like direct, but through a relay, so the publisher's address was not seen"""
    INLINE = "inline"
    """from the DHT; nothing proves that its publisher was ever there"""


@dataclass(frozen=True)
class Pulled:
    """An unverified body, and how it arrived."""

    envelope: bytes
    way: Way
    address: str | None = None
    """The multiaddr of the other end, if there was a connection and the transport knows it."""


class Reach(StrEnum):
    """How other peers reach this one."""

    DIRECT = "direct"
    """they dial it"""
    PUNCHED = "punched"
    """they cannot dial it, but hole punching through its NAT works"""
    RELAYED = "relayed"
    """through relays that give it a place"""
    INLINE = "inline"
    """not at all; its records are stored in the DHT"""
    UNKNOWN = "unknown"
    """too few peers could tell"""


@dataclass(frozen=True)
class Reachability:
    """How other peers reach this one, and what it does for them as a relay. A snapshot."""

    state: Reach = Reach.UNKNOWN
    port: int = 0
    """The TCP port that other peers are asked to probe."""
    opened: int = 0
    """Networks whose recent probes succeeded."""
    closed: int = 0
    """Networks whose recent probes failed."""
    seen_at: str = ""
    """The IP address at which most peers see this one; empty if unknown."""
    relays: tuple[PeerId, ...] = ()
    """Relays that give it a place."""
    alone: bool = True
    """It has no connections."""
    on_this_machine: bool = True
    """All peers that it is connected to are on this machine."""
    places: int = 0
    """Peers that have a place here."""
    circuits: int = 0
    """Connections that this peer relays."""
    relayed_bytes: int = 0
    """Bytes relayed since the start."""
    relay_refused: int = 0
    """Requests for a place or a circuit refused since the start."""


StandingOf = Callable[[PeerId], Standing]
"""Called on the event loop for every request: be quick."""

Report = Callable[[PeerId, Misbehaviour], None]
"""Called on the event loop for each offence against the transport."""


class PullFailedError(NetworkError):
    """A body could not be fetched: peer unreachable or too slow; body absent, too large, or wrong."""

    def __init__(self, message: str, kind: PullFailure = PullFailure.UNREACHABLE) -> None:
        super().__init__(message)
        self.kind = kind


class LocalFailureError(NetworkError):
    """This machine's own transport failed: no peer is at fault."""


class NetworkClosedError(NetworkError):
    """The network was used after `close`, or its p2p process could not be restarted."""


class ClockSkewError(NetworkError):
    """The clocks of all peers that answered differ from this machine's, so they would refuse its records."""


@dataclass(frozen=True)
class NetworkStatistics:
    """An immutable snapshot of the transport."""

    connected_peers: int
    restarts: int
    """How many times the p2p process died and was restarted."""
    bytes_pulled: int
    """Bytes of bodies, as received on the wire."""
    pulls_failed: int
    dialable: bool
    bytes_served: int = 0
    problems: tuple[str, ...] = ()
    """What is wrong and what to do, for the operator."""
    connections: Mapping[PeerId, str] = field(default_factory=dict)
    """The connected peers, each with the multiaddr of the other end (no /p2p/)."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """Counts of requests refused since the start, by reason. The reasons appear in metrics."""
    known_peers: int = 0
    """Peers that were heard from, were reached, or were named by the operator; the newest thousand."""
    unheard: frozenset[PeerId] = frozenset()
    """Peers that did not answer their last request, or are away. None of them is in `connections`."""
    pauses: int = 0
    """How many times this machine slept, or this process was suspended."""
    known_since: float | None = None
    """When the first of them became known, by the monotonic clock."""
    answered_at: float | None = None
    """When a peer last answered this one, by the monotonic clock; None if none has yet."""
    asked_at: float | None = None
    """When a peer last sent this one a request."""
    reach: Reachability = field(default_factory=Reachability)
    ways: Mapping[Way, int] = field(default_factory=dict)
    """Bodies received since the start, by how they arrived."""


class Network(Protocol):
    """One peer's view of the swarm's transport."""

    @property
    def peer_id(self) -> PeerId: ...

    @property
    def addresses(self) -> tuple[str, ...]:
        """Multiaddrs ending in /p2p/ at which other peers reach this one, most public first."""
        ...

    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None:
        """From now on, answer pulls from `bodies` and manifest requests with `manifest` (canonical bytes)."""
        ...

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        """From now on, send this signed full status on request.

        `with_credits`: the same in version 3, for peers that support it.
        """
        ...

    def tell_announcement(self, envelope: bytes) -> None:
        """From now on, send this signed announcement to peers that ask for this peer's own ones."""
        ...

    def tell_charter(self, envelope: bytes) -> None:
        """From now on, send this charter to peers that ask for the newest one."""
        ...

    def count_by(self, delivered: Delivered) -> None:
        """From now on, call `delivered` for each body that a peer pulls from here."""
        ...

    def news_by(self, news: News) -> None:
        """From now on, call `news` with each announcement that another peer stores here."""
        ...

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        """From now on, serve peers by their standing, banned ones not at all, and report misbehaviour.

        Until then every peer is a stranger.
        """
        ...

    async def disconnect(self, peer_id: PeerId) -> None:
        """Close the connections to that peer; it can reconnect. Raises NetworkError."""
        ...

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:
        """Dial `addresses` (with /p2p/) and join their DHT. Return how many answered.

        `named`: the operator gave these addresses, so all of them are dialled. Otherwise an address is
        dialled only if a peer can be there, at a bounded rate (`dialling.py`). A dead peer is not an error.
        Raises ConfigError for a malformed address, ClockSkewError, NetworkError.
        """
        ...

    async def fetch_manifest(self, address: str) -> bytes:
        """Fetch the manifest that the peer at `address` serves. Raises NetworkError."""
        ...

    async def announce(self, envelopes: Sequence[bytes]) -> int:
        """Store signed announcements under their own (round, task, shard) keys. Return how many are held."""
        ...

    async def read_announcements(self, keys: Sequence[bytes]) -> list[bytes]:
        """Read all live announcement envelopes under keys of `protocol.announcement_key`, uncached."""
        ...

    async def announcements_of(self, peer_id: PeerId) -> list[bytes]:
        """Ask a connected peer for its own live announcements; empty if it runs an older version.

        Raises NetworkError.
        """
        ...

    async def publish_status(self, envelope: bytes, shards: int = MEMBERSHIP_SHARDS) -> bool:
        """Store this peer's signed status under its membership key among `shards`.

        Return False if it is not held, or if most of the nodes that should hold it have no room.
        """
        ...

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        """Read all live status envelopes under keys of `protocol.membership_key`."""
        ...

    async def ping(self, peer_id: PeerId) -> float:
        """Return the seconds until a peer answers a ping, including dialling if there is no connection.

        Raises NetworkError if it does not answer.
        """
        ...

    async def ask_status(self, peer_id: PeerId) -> bytes:
        """Fetch a connected peer's full status: version 3 if it has one, otherwise version 2.

        Raises NetworkError, also if the peer runs an older version and has none.
        """
        ...

    async def ask_charter(self, peer_id: PeerId) -> bytes:
        """Fetch the newest charter a connected peer knows. Raises NetworkError, also if it knows none."""
        ...

    async def ask_versions(self, peer_id: PeerId) -> bytes:
        """Fetch the protocol versions that a connected peer supports.

        Raises NetworkError, also if the peer is too old to know this request.
        """
        ...

    async def store_body(self, envelope: bytes) -> bool:
        """Store a body in the DHT under its digest, for publishers that cannot be dialled."""
        ...

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        """Fetch the envelope with SHA-256 `digest` from `peer_id` or the DHT. Raises PullFailedError."""
        ...

    def statistics(self) -> NetworkStatistics: ...

    async def close(self) -> None:
        """Stop serving and leave. Idempotent."""
        ...
