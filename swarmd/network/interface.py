"""What the rest of the daemon may ask of a network. Implemented over hivemind and in memory.

Bytes in, bytes out: this layer moves signed envelopes and does not read their payloads, except that
storing nodes refuse what `protocol` refuses. It neither scores nor decides what to pull.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Protocol

from protocol import PeerId
from swarmd.errors import NetworkError

BodyProvider = Callable[[bytes], bytes | None]
"""digest (32 bytes) -> the record's envelope, or None if not held. Called on the event loop: be quick."""


Delivered = Callable[[PeerId, bytes], None]
"""(who, the record's envelope): a peer pulled a body and said that it has it. On the event loop: be quick."""


News = Callable[[bytes], None]
"""An announcement's envelope, which the rules of storage found sound. On the event loop: be quick."""


class Standing(IntEnum):
    """How well this peer knows another, worst first. Gossip decides; the network serves in this order."""

    BANNED = 0
    """ignored after what it did, or by the operator's word"""
    STRANGER = 1
    """only its signature is known"""
    MET = 2
    """it is connected, or delivered something verified lately"""
    KNOWN = 3
    """it delivered verified groups for a long time, or the operator trusts it"""


class Misbehaviour(StrEnum):
    """What a peer did to the transport."""

    FLOOD = "flood"
    """more requests, streams or connections than the limits allow, and it went on"""
    LIES = "lies"
    """answers that break the rules of messages or of storage"""
    REFUSES = "refuses"
    """keeps refusing to store what it should"""


class PullFailure(StrEnum):
    """Why a body could not be fetched."""

    WRONG = "wrong"
    """the publisher sent other bytes than it announced"""
    ABSENT = "absent"
    """the publisher answers, but does not hold it"""
    BUSY = "busy"
    """the publisher serves too many others just now: not its fault"""
    UNREACHABLE = "unreachable"
    """nobody answers, or the answer is too slow"""
    LOCAL = "local"
    """this machine's own transport failed: not the publisher's fault"""


class Way(StrEnum):
    """How a body arrived."""

    DIRECT = "direct"
    """over a connection to its publisher, which proves that the publisher is there"""
    RELAY = "relay"
    """the same, through a relay: where the publisher is, nobody has seen"""
    INLINE = "inline"
    """from the DHT: nothing shows that its publisher was ever there"""


@dataclass(frozen=True)
class Pulled:
    """A body, unverified, and how it arrived."""

    envelope: bytes
    way: Way
    address: str | None = None
    """The multiaddr at the other end of the connection, if there was one and the transport knows it."""


class Reach(StrEnum):
    """How others reach this peer."""

    DIRECT = "direct"
    """they dial it"""
    PUNCHED = "punched"
    """they cannot dial it, but hole punching through its NAT works"""
    RELAYED = "relayed"
    """through relays, where it holds places"""
    INLINE = "inline"
    """not at all: what it publishes lies in the DHT"""
    UNKNOWN = "unknown"
    """too few others could say"""


@dataclass(frozen=True)
class Reachability:
    """How others reach this peer, and what it does as a relay for them. A snapshot."""

    state: Reach = Reach.UNKNOWN
    port: int = 0
    """The TCP port at which others are asked to knock."""
    opened: int = 0
    """Networks that knocked lately and were let in."""
    closed: int = 0
    """Networks that knocked lately in vain."""
    seen_at: str = ""
    """The IP address at which most others see this peer; empty if it is not known."""
    relays: tuple[PeerId, ...] = ()
    """Relays at which it holds a place."""
    alone: bool = True
    """It is connected to nobody."""
    on_this_machine: bool = True
    """All peers that it is connected to are on this machine."""
    places: int = 0
    """Peers that hold a place here."""
    circuits: int = 0
    """Connections that this peer relays."""
    relayed_bytes: int = 0
    """Bytes relayed since the start."""
    relay_refused: int = 0
    """Requests for a place or a circuit that were refused since the start."""


StandingOf = Callable[[PeerId], Standing]
"""Called on the event loop for every request: be quick."""

Report = Callable[[PeerId, Misbehaviour], None]
"""Called on the event loop with what a peer did to the transport."""


class PullFailedError(NetworkError):
    """A body could not be fetched: peer unreachable or too slow, body absent, too large or not the digest."""

    def __init__(self, message: str, kind: PullFailure = PullFailure.UNREACHABLE) -> None:
        super().__init__(message)
        self.kind = kind


class LocalFailureError(NetworkError):
    """This machine's own transport failed: nobody else is to blame."""


class NetworkClosedError(NetworkError):
    """The network was used after `close`, or its p2p process could not be brought back."""


class ClockSkewError(NetworkError):
    """All peers that answered have another time than this machine: they would refuse its records."""


@dataclass(frozen=True)
class NetworkStatistics:
    """An immutable snapshot of the transport."""

    connected_peers: int
    restarts: int
    """How often the p2p process died and was brought back."""
    bytes_pulled: int
    """Of bodies, as they travelled."""
    pulls_failed: int
    dialable: bool
    bytes_served: int = 0
    problems: tuple[str, ...] = ()
    """For a person: what is wrong and what to do."""
    connections: Mapping[PeerId, str] = field(default_factory=dict)
    """The peers it is connected to, each with the multiaddr at the other end (no /p2p/)."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """What peers asked for and were refused since the start, by reason. The names end up in metrics."""
    known_peers: int = 0
    """Peers that were heard, or reached, or named by the operator; the newest thousand."""
    unheard: frozenset[PeerId] = frozenset()
    """Peers that did not answer when last asked, or are away; none of them is in `connections`."""
    pauses: int = 0
    """How often this machine slept, or this process stood still."""
    known_since: float | None = None
    """When the first of them became known, by the monotonic clock."""
    answered_at: float | None = None
    """When a peer last answered this one, by the monotonic clock; None: none did yet."""
    asked_at: float | None = None
    """When a peer last asked this one for anything."""
    reach: Reachability = field(default_factory=Reachability)
    ways: Mapping[Way, int] = field(default_factory=dict)
    """How many bodies came which way since the start."""


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

    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None:
        """Give this signed full status to whoever asks for it, from now on. `with_credits`: the same of
        version 3, for whoever knows it."""
        ...

    def tell_charter(self, envelope: bytes) -> None:
        """Give this charter to whoever asks for the newest one, from now on."""
        ...

    def count_by(self, delivered: Delivered) -> None:
        """Call `delivered` for each body that a peer pulls from here, from now on."""
        ...

    def news_by(self, news: News) -> None:
        """Call `news` with each announcement that another peer has this one hold, from now on."""
        ...

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        """From now on serve peers by their standing, banned ones not at all, and report misbehaviour.

        Until then every peer is a stranger.
        """
        ...

    async def disconnect(self, peer_id: PeerId) -> None:
        """End the connections to that peer; it may come back. Raises NetworkError."""
        ...

    async def connect(self, addresses: Sequence[str], *, named: bool = False) -> int:
        """Dial `addresses` (with /p2p/) and join their DHT. Returns how many answered.

        `named`: the operator gave these addresses, so they are dialled as they are. Others are dialled only
        if a peer can live there, and at a bounded rate (`dialling.py`). A dead peer is no error. Raises
        ConfigError for a malformed address, ClockSkewError, NetworkError.
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
        """Store this peer's signed status under its membership key.

        False: it is not held, or most of the nodes that should hold it have no room.
        """
        ...

    async def read_statuses(self, keys: Sequence[bytes]) -> list[bytes]:
        """All live status envelopes under the DHT keys of `protocol.membership_key`."""
        ...

    async def ping(self, peer_id: PeerId) -> float:
        """Seconds until a peer answers a greeting; dialling it is part of that if there is no connection.

        Raises NetworkError if it does not answer.
        """
        ...

    async def ask_status(self, peer_id: PeerId) -> bytes:
        """The full status that a connected peer gives, of version 3 if it has it, else of version 2. Raises
        NetworkError, also if the peer is of an older version and has none."""
        ...

    async def ask_charter(self, peer_id: PeerId) -> bytes:
        """The newest charter that a connected peer knows. Raises NetworkError, also if it knows none."""
        ...

    async def ask_versions(self, peer_id: PeerId) -> bytes:
        """Which versions of the protocol a connected peer speaks. Raises NetworkError, also if it is older
        than the question."""
        ...

    async def store_body(self, envelope: bytes) -> bool:
        """Store a body in the DHT under its digest, for publishers that cannot be dialled."""
        ...

    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled:
        """The envelope with SHA-256 `digest`, from `peer_id` or from the DHT. Raises PullFailedError."""
        ...

    def statistics(self) -> NetworkStatistics: ...

    async def close(self) -> None:
        """Stop serving and leave. Idempotent."""
        ...
