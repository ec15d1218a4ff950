"""Gossip's inputs (events) and outputs (commands): plain data without behaviour.

A command is one await on the network, the blob store, the database or the task runner. Its docstring names
the call and the event that reports the result. The machine retries after a while, so a lost answer only
causes a delay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from protocol import MEMBERSHIP_SHARDS, Completion, Episode, PeerId, TaskSpec, VerifiedRecord
from swarmd.gossip.contacts import Acquaintance
from swarmd.gossip.own_status import OwnStatus
from swarmd.network.interface import Misbehaviour, PullFailure, Way

# Events --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """Time has passed. Due at `Gossip.next_wakeup`; an earlier or later tick does no harm."""

    neighbours: int
    """Peers that the transport is connected to (`Network.statistics().connected_peers`)."""
    dialable: bool | None = None
    """Whether other peers can dial this one, as far as the transport knows; None: unchanged."""
    connections: Mapping[PeerId, str] = field(default_factory=dict)
    """The connected peers, each with the multiaddr of the other end."""
    unheard: frozenset[PeerId] = frozenset()
    """Peers that currently do not answer the transport. A peer that is no longer listed is back."""


@dataclass(frozen=True)
class Demand:
    """The trainer uses `groups` external groups per step (J), and a step takes `step_seconds`."""

    groups: int
    step_seconds: float


@dataclass(frozen=True)
class GroupOffer:
    """A group of our own to publish, generated and scored. Never on a held-out question."""

    step: int
    task: TaskSpec
    question_digest: bytes
    completions: tuple[Completion, ...] | tuple[Episode, ...]
    """Episodes if the task has several turns; the record is then of version 2."""
    temperature_milli: int
    model: str
    tokenizer: bytes
    even_all_right: bool = False
    """Publish although every completion is right: it teaches peers that fail at its task."""


@dataclass(frozen=True)
class AddressesRemembered:
    """At start: peers of earlier runs, with the addresses at which they were reached."""

    peers: tuple[tuple[PeerId, tuple[str, ...]], ...]


Word = Literal["ban", "trust", "none"]
"""What the operator says about a peer. none: judge it by its conduct, from a clean slate."""


@dataclass(frozen=True)
class PeersRemembered:
    """At start: peers that delivered in earlier runs, and the operator's words."""

    acquaintances: tuple[Acquaintance, ...]
    words: Mapping[PeerId, Word]


@dataclass(frozen=True)
class OperatorSaid:
    """The operator's word about a peer."""

    peer: PeerId
    word: Word


@dataclass(frozen=True)
class NetworkRestarted:
    """The transport was restarted. What it stored for this peer may be gone."""


@dataclass(frozen=True)
class Paused:
    """This machine slept, or this process was suspended. Failures in that time are no peer's fault."""


@dataclass(frozen=True)
class Announced:
    """Answer to `Announce`: how many of the envelopes the network stored."""

    stored: int


@dataclass(frozen=True)
class AnnouncementsRead:
    """Answer to `ReadAnnouncements`: all envelopes found, unverified; empty after a failure."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class PublisherTold:
    """Answer to `AskPublisher`: the announcements that `peer` has of its own, unverified; empty after a
    failure.
    """

    peer: PeerId
    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class AnnouncementHeld:
    """Another peer stored an announcement on this one, and it passed the storage rules."""

    envelope: bytes


@dataclass(frozen=True)
class StatusesRead:
    """Answer to `ReadStatuses`: all envelopes found, unverified; empty after a failure."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class StatusPublished:
    """Answer to `PublishStatus`: whether there was room for the status."""

    kept: bool


@dataclass(frozen=True)
class FullStatusRead:
    """Answer to `AskStatus`: what `peer` sent, unverified; None if it sent nothing."""

    peer: PeerId
    envelope: bytes | None


@dataclass(frozen=True)
class BodyArrived:
    """Answer to `Pull`: the bytes under `digest`, unverified."""

    digest: bytes
    envelope: bytes
    way: Way = Way.DIRECT
    address: str | None = None
    """The multiaddr that it came from, if it came over a connection and the transport knows it."""


@dataclass(frozen=True)
class PullFailed:
    """Answer to `Pull`: the network could not fetch the body."""

    digest: bytes
    why: str
    kind: PullFailure = PullFailure.UNREACHABLE


@dataclass(frozen=True)
class Misbehaved:
    """The transport reports a peer's offence."""

    peer: PeerId
    what: Misbehaviour


@dataclass(frozen=True)
class GroupScored:
    """Answer to `Verify`: the question was regenerated and the completions scored here."""

    digest: bytes
    informative: bool
    """The rewards found here differ among the completions, so the group can teach something."""


@dataclass(frozen=True)
class GroupRejected:
    """Answer to `Verify`: refused, for a `protocol.Reason` such as question, held_out or scorer, or for a
    reason of `swarmd.gossip.reputation`: ignored, unjudged or overdrawn.
    """

    digest: bytes
    reason: str


Event = (
    Tick
    | Demand
    | GroupOffer
    | OwnStatus
    | AddressesRemembered
    | PeersRemembered
    | OperatorSaid
    | NetworkRestarted
    | Paused
    | Announced
    | AnnouncementHeld
    | PublisherTold
    | AnnouncementsRead
    | StatusesRead
    | StatusPublished
    | FullStatusRead
    | BodyArrived
    | PullFailed
    | Misbehaved
    | GroupScored
    | GroupRejected
)

# Commands ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StoreBlob:
    """`BlobStore.put(envelope)`: keep the body of our own record, so that other peers can pull it."""

    digest: bytes
    envelope: bytes


@dataclass(frozen=True)
class StoreBody:
    """`Network.store_body(envelope)`: store the body in the DHT, because nobody can dial this peer."""

    envelope: bytes


@dataclass(frozen=True)
class Announce:
    """`Network.announce(envelopes)` -> `Announced`."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class ReadAnnouncements:
    """`Network.read_announcements(keys)` -> `AnnouncementsRead`. One at a time."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class AskPublisher:
    """`Network.announcements_of(peer)` -> `PublisherTold`. One at a time for each peer."""

    peer: PeerId


@dataclass(frozen=True)
class PublishStatus:
    """`Network.publish_status(envelope, shards)` -> `StatusPublished`."""

    envelope: bytes
    shards: int = MEMBERSHIP_SHARDS
    """The number of shards that the statuses are spread over."""


@dataclass(frozen=True)
class ReadStatuses:
    """`Network.read_statuses(keys)` -> `StatusesRead`. One at a time."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class TellStatus:
    """`Network.tell(envelope, with_credits)`: the full status to send on request from now on."""

    envelope: bytes
    with_credits: bytes | None = None
    """The same status in version 3."""


@dataclass(frozen=True)
class AskStatus:
    """`Network.ask_status(peer)` -> `FullStatusRead`. One at a time."""

    peer: PeerId


@dataclass(frozen=True)
class Pull:
    """`Network.pull(publisher, digest, size)` -> `BodyArrived` or `PullFailed`. Several at a time."""

    publisher: PeerId
    digest: bytes
    size: int


@dataclass(frozen=True)
class Verify:
    """Regenerate the question and score the completions -> `GroupScored` or `GroupRejected`."""

    record: VerifiedRecord


@dataclass(frozen=True)
class Drop:
    """For the ledger: a group of `publisher` was lost, and why (see `GossipStatistics.groups_rejected`)."""

    digest: bytes
    reason: str
    publisher: PeerId


@dataclass(frozen=True)
class Connect:
    """`Network.connect(addresses)`. Success shows in the neighbours of the next `Tick`."""

    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Disconnect:
    """`Network.disconnect(peer)`: the peer is ignored from now on. No answer is needed."""

    peer: PeerId


@dataclass(frozen=True)
class RememberPeer:
    """For the database: dial `peer_id` at `addresses` at the next start."""

    peer_id: PeerId
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class RememberAcquaintance:
    """For the database: what a peer has delivered so far."""

    acquaintance: Acquaintance


@dataclass(frozen=True)
class RememberClaim:
    """For the database: `peer` claims to have trained on this many of our groups since it began."""

    peer: PeerId
    groups: int


@dataclass(frozen=True)
class RememberCredit:
    """For the database: the effect that `peer` claims to have measured for our groups, people's or others."""

    peer: PeerId
    people: bool
    groups: int
    gain_milli: int


@dataclass(frozen=True)
class ForgetPeer:
    """For the database and the pool: a peer's deliveries no longer count, and its groups are not drawn."""

    peer: PeerId


Change = Literal["ignored", "forgiven", "known", "banned", "trusted", "unjudged", "flood", "lies", "refuses"]


@dataclass(frozen=True)
class StandingChanged:
    """For the log: a peer's standing changed, and why."""

    peer: PeerId
    change: Change
    why: str


Command = (
    StoreBlob
    | StoreBody
    | Announce
    | ReadAnnouncements
    | AskPublisher
    | PublishStatus
    | ReadStatuses
    | TellStatus
    | AskStatus
    | Pull
    | Verify
    | Drop
    | Connect
    | Disconnect
    | RememberPeer
    | RememberAcquaintance
    | RememberClaim
    | RememberCredit
    | ForgetPeer
    | StandingChanged
)
