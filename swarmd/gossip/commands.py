"""Gossip's outputs: plain data without behaviour.

A command is one await on the network, the blob store, the database or the task runner. Its docstring names
the call and the event that reports the result. The machine retries after a while, so a lost answer only
causes a delay.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Literal

from protocol import MEMBERSHIP_SHARDS, PeerId, VerifiedRecord
from swarmd.gossip.contacts import Acquaintance


@dataclass(frozen=True)
class StoreBlob:
    """`BlobStore.put(envelope)`: keep the body of our own record, so that other peers can pull it."""

    digest: bytes
    envelope: bytes


@unique
class Unpublished(StrEnum):
    """Why an own group was not published."""

    UNINFORMATIVE = "uninformative"
    """all its rewards are equal; one that is all right may still be wanted"""
    BEFORE_GENESIS = "before_genesis"
    """the swarm has not begun"""
    ROUND_BUDGET = "round_budget"
    """this peer published as many in this round as it may"""
    INVALID = "invalid"
    """the protocol has no record of it, or other peers would refuse that record; the message says why"""


@dataclass(frozen=True)
class NotPublished:
    """For who offered the group: there is no record of it."""

    reason: Unpublished
    detail: str = ""
    """What is invalid."""


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
class TellAnnouncement:
    """`Network.tell_announcement(envelope)`: one that is still to be announced, for peers that ask for own
    ones.
    """

    envelope: bytes


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
    | NotPublished
    | StoreBody
    | Announce
    | ReadAnnouncements
    | AskPublisher
    | PublishStatus
    | ReadStatuses
    | TellAnnouncement
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
