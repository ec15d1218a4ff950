"""An immutable snapshot of the gossip, for the status API and the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol import PeerId, PeerStatus
from swarmd.gossip.reputation import Ignored
from swarmd.network.interface import Standing


@dataclass(frozen=True)
class PeerView:
    """What is known of another peer. `status` is its own claim; None if none was read recently."""

    peer_id: PeerId
    status: PeerStatus | None
    age_s: float | None
    """since it wrote the status"""
    groups_pulled: int
    """bodies from this peer that were verified here, since the start"""
    groups_taught: int
    """groups from this peer that taught something, in this run and earlier ones"""
    standing: Standing
    trust: float
    """from 0 (ignored) to 1 (nothing against it)"""
    points_lost: Mapping[str, int]
    """how many times it lost points, by reason (see `GossipStatistics.points_lost`)"""
    used: Mapping[PeerId, int] = field(default_factory=dict)
    """publisher -> groups that this peer says it trained on; empty if it did not say"""
    on_trial: bool = False
    """it came later than others that deliver, and shares a fifth of the turns until it has waited"""


@dataclass(frozen=True)
class GossipStatistics:
    """Counters are since the start of the process. Everything else is as of the last event."""

    round: int
    swarm_size: int
    """estimated number of peers, including this one"""
    neighbours: int
    peers: tuple[PeerView, ...]
    shards: int
    """shards over which this peer spreads a task's announcements"""

    groups_published: int
    groups_unpublished: Mapping[str, int]
    """own groups not published, by `Unpublished` (`swarmd.gossip.commands`)"""
    last_invalid: str
    """why the last own group could not become a record, or empty"""
    announcements_stored: int

    candidates: int
    pulls_in_flight: int
    verifying: int
    groups_pulled: int
    groups_accepted: int
    """verified, and informative here"""
    groups_rejected: Mapping[str, int]
    """chosen or pulled but then lost, by protocol Reason or by one of `swarmd.gossip.reputation`: pull,
    absent, uninformative, ignored, paused, unjudged, overdrawn"""
    junk: Mapping[str, int]
    """announcements and statuses refused on reading, by protocol Reason"""
    announcement_keys_read: int
    ignored: tuple[Ignored, ...]
    """peers ignored now, on the operator's order or for their conduct"""
    trusted: tuple[PeerId, ...]
    """on the operator's order"""
    left: frozenset[PeerId]
    """peers that said goodbye and were not heard since"""
    points_lost: Mapping[str, int]
    """how many times any peer lost points: by `Misbehaviour`, or by a reason of `groups_rejected` that is the
    peer's fault (`NOT_THEIR_FAULT` has the others)"""
    misbehaved: Mapping[str, int]
    """offences reported by the transport, by `Misbehaviour`"""

    clock_offset_s: float | None
    """how far the swarm's clock is ahead of this one; None if they agree"""
    problems: tuple[str, ...]
    """what is wrong and what to do, for the operator"""
