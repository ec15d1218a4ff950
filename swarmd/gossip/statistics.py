"""An immutable snapshot of the gossip, for the status API and the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from protocol import PeerId, PeerStatus
from swarmd.gossip.reputation import Ignored
from swarmd.network.interface import Standing


@dataclass(frozen=True)
class PeerView:
    """What is known of another peer; `status` is its own word, None if none was read recently."""

    peer_id: PeerId
    status: PeerStatus | None
    age_s: float | None
    """since it wrote the status"""
    groups_pulled: int
    """bodies of this peer that arrived here and verified, since the start"""
    groups_taught: int
    """groups of this peer that taught something, in this run and those before"""
    standing: Standing
    trust: float
    """from 0 (ignored) to 1 (nothing is held against it)"""
    points_lost: Mapping[str, int]
    """how often it lost points, by reason"""
    used: Mapping[PeerId, int] = field(default_factory=dict)
    """publisher -> groups that this peer says it trained on; empty if it said nothing"""
    on_trial: bool = False
    """it came later than others that deliver, and shares a fifth of the turns until it has waited"""


@dataclass(frozen=True)
class GossipStatistics:
    """Counters are since the start of the process; everything else is as of the last event."""

    round: int
    swarm_size: int
    """estimated number of peers, this one included"""
    neighbours: int
    peers: tuple[PeerView, ...]
    shards: int
    """over which this peer spreads a task's announcements"""

    groups_published: int
    groups_unpublished: Mapping[str, int]
    """own groups not published, by reason: uninformative, round_budget, before_genesis, invalid"""
    last_invalid: str
    """why the last own group could not be made a record, or empty"""
    announcements_stored: int

    candidates: int
    pulls_in_flight: int
    verifying: int
    groups_pulled: int
    groups_accepted: int
    """verified and informative here"""
    groups_rejected: Mapping[str, int]
    """pulled or chosen, and then lost, by reason (a protocol Reason, "pull" or "uninformative")"""
    junk: Mapping[str, int]
    """announcements and statuses refused on reading, by protocol Reason"""
    announcement_keys_read: int
    ignored: tuple[Ignored, ...]
    """who is ignored now, by the operator's word or for what it did"""
    trusted: tuple[PeerId, ...]
    """by the operator's word"""
    left: frozenset[PeerId]
    """peers that said goodbye, and were not heard since"""
    points_lost: Mapping[str, int]
    """how often any peer lost points, by reason"""
    misbehaved: Mapping[str, int]
    """what the transport reported, by `Misbehaviour`"""

    clock_offset_s: float | None
    """by how much the swarm's clock is ahead of ours, or None while they agree"""
    problems: tuple[str, ...]
    """for a person: what is wrong and what to do"""
