"""Gossip's inputs: plain data without behaviour. Its outputs are in `commands.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from protocol import Completion, Episode, PeerId, TaskSpec
from swarmd.gossip.contacts import Acquaintance
from swarmd.gossip.own_status import OwnStatus
from swarmd.network.interface import Misbehaviour, PullFailure, Way


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
    """Answer to `ReadAnnouncements`: all envelopes found, unverified."""

    envelopes: tuple[bytes, ...]
    failed: bool = False
    """The network did not read them."""


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
    """Answer to `ReadStatuses`: all envelopes found, unverified."""

    envelopes: tuple[bytes, ...]
    failed: bool = False
    """The network did not read them."""


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
