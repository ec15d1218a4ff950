"""What happens to the gossip (events) and what it wants done (commands): plain data, no behaviour.

A command is one await on the network, the blob store, the database or the task runner; its docstring
names the call and the event that reports back. The machine asks again after a time, so an answer
that gets lost costs a delay and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from protocol import Completion, Episode, PeerId, TaskSpec, VerifiedRecord
from swarmd.gossip.contacts import Acquaintance
from swarmd.gossip.own_status import OwnStatus
from swarmd.network.interface import Misbehaviour, PullFailure, Way

# Events --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """Time has passed. Due at `Gossip.next_wakeup`; earlier or later does no harm."""

    neighbours: int
    """Peers the transport is connected to (`Network.statistics().connected_peers`)."""
    dialable: bool | None = None
    """Whether others can dial this peer, as far as the transport knows now; None: as it was."""
    connections: Mapping[PeerId, str] = field(default_factory=dict)
    """The peers the transport is connected to, each with the multiaddr at the other end."""
    unheard: frozenset[PeerId] = frozenset()
    """Peers that do not answer the transport now. A peer that is no longer among them is back."""


@dataclass(frozen=True)
class Demand:
    """What the trainer uses: `groups` external groups per step (J). A step lasts `step_seconds`."""

    groups: int
    step_seconds: float


@dataclass(frozen=True)
class GroupOffer:
    """A group of our own to publish, generated and scored; never one on a held-out question."""

    step: int
    task: TaskSpec
    question_digest: bytes
    completions: tuple[Completion, ...] | tuple[Episode, ...]
    """Episodes if the task has several turns: the record is then of version 2."""
    temperature_milli: int
    model: str
    tokenizer: bytes
    even_all_right: bool = False
    """Publish it although every completion is wholly right: it teaches whoever fails at its task."""


@dataclass(frozen=True)
class AddressesRemembered:
    """At start: peers of earlier runs, with the addresses under which they were reached."""

    peers: tuple[tuple[PeerId, tuple[str, ...]], ...]


Word = Literal["ban", "trust", "none"]
"""What the operator says about a peer; none: it is judged by what it does, starting anew."""


@dataclass(frozen=True)
class PeersRemembered:
    """At start: who delivered in earlier runs, and the operator's words."""

    acquaintances: tuple[Acquaintance, ...]
    words: Mapping[PeerId, Word]


@dataclass(frozen=True)
class OperatorSaid:
    """The operator's word about a peer."""

    peer: PeerId
    word: Word


@dataclass(frozen=True)
class NetworkRestarted:
    """The transport came back after it had died: what it stored for us may be gone."""


@dataclass(frozen=True)
class Paused:
    """This machine slept, or this process stood still: whatever fails now is nobody else's fault."""


@dataclass(frozen=True)
class Announced:
    """Answer to `Announce`: how many of the envelopes the network stored."""

    stored: int


@dataclass(frozen=True)
class AnnouncementsRead:
    """Answer to `ReadAnnouncements`: everything found, unverified; empty after a failure."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class AnnouncementHeld:
    """Another peer had this one hold an announcement, and the storing node found it sound."""

    envelope: bytes


@dataclass(frozen=True)
class StatusesRead:
    """Answer to `ReadStatuses`: everything found, unverified; empty after a failure."""

    envelopes: tuple[bytes, ...]


@dataclass(frozen=True)
class StatusPublished:
    """Answer to `PublishStatus`: whether there was room for it."""

    kept: bool


@dataclass(frozen=True)
class FullStatusRead:
    """Answer to `AskStatus`: what `peer` gave, unverified; None if it gave nothing."""

    peer: PeerId
    envelope: bytes | None


@dataclass(frozen=True)
class BodyArrived:
    """Answer to `Pull`: the bytes under `digest`, unverified."""

    digest: bytes
    envelope: bytes
    way: Way = Way.DIRECT
    address: str | None = None
    """The multiaddr it came from, if it came directly and the transport knows it."""


@dataclass(frozen=True)
class PullFailed:
    """Answer to `Pull`: the network could not fetch the body."""

    digest: bytes
    why: str
    kind: PullFailure = PullFailure.UNREACHABLE


@dataclass(frozen=True)
class Misbehaved:
    """The transport reports what a peer did to it."""

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
    """Answer to `Verify`: refused, for a `protocol.Reason` such as question, held_out or scorer."""

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
    """`BlobStore.put(envelope)`: keep the body of an own record, so that others can pull it."""

    digest: bytes
    envelope: bytes


@dataclass(frozen=True)
class StoreBody:
    """`Network.store_body(envelope)`: nobody can dial us, so the DHT holds the body."""

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
class PublishStatus:
    """`Network.publish_status(envelope)` -> `StatusPublished`."""

    envelope: bytes


@dataclass(frozen=True)
class ReadStatuses:
    """`Network.read_statuses(keys)` -> `StatusesRead`. One at a time."""

    keys: tuple[bytes, ...]


@dataclass(frozen=True)
class TellStatus:
    """`Network.tell(envelope, with_credits)`: the full status for whoever asks from now on."""

    envelope: bytes
    with_credits: bytes | None = None
    """The same, of version 3."""


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
    """Regenerate the question, score the completions -> `GroupScored` or `GroupRejected`."""

    record: VerifiedRecord


@dataclass(frozen=True)
class Drop:
    """For the ledger: a group of `publisher` was lost, and why (a `Reason`, "pull" or "uninformative")."""

    digest: bytes
    reason: str
    publisher: PeerId


@dataclass(frozen=True)
class Connect:
    """`Network.connect(addresses)`; its success shows in the neighbours of the next `Tick`."""

    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Disconnect:
    """`Network.disconnect(peer)`: it is ignored from now on; no answer needed."""

    peer: PeerId


@dataclass(frozen=True)
class RememberPeer:
    """For the database: dial `peer_id` under `addresses` at the next start."""

    peer_id: PeerId
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class RememberAcquaintance:
    """For the database: what a peer has delivered so far."""

    acquaintance: Acquaintance


@dataclass(frozen=True)
class RememberClaim:
    """For the database: `peer` says that it has trained on so many groups of ours since it began."""

    peer: PeerId
    groups: int


@dataclass(frozen=True)
class RememberCredit:
    """For the database: what `peer` says that it measured of our groups, those of people or the others."""

    peer: PeerId
    people: bool
    groups: int
    gain_milli: int


@dataclass(frozen=True)
class ForgetPeer:
    """For the database and the pool: what a peer delivered no longer counts, and its groups are not drawn."""

    peer: PeerId


Change = Literal["ignored", "forgiven", "known", "banned", "trusted", "unjudged", "flood", "lies", "refuses"]


@dataclass(frozen=True)
class StandingChanged:
    """For the log: a peer is judged differently from now on, and why."""

    peer: PeerId
    change: Change
    why: str


Command = (
    StoreBlob
    | StoreBody
    | Announce
    | ReadAnnouncements
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
