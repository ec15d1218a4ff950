"""Which groups to publish, read, pull and drop, and which peers to dial: a pure state machine.

`Gossip.handle(event, now)` returns commands; the daemon carries each out with one await and reports back.
"""

from swarmd.gossip.events import (
    AddressesRemembered,
    Announce,
    Announced,
    AnnouncementsRead,
    BodyArrived,
    Command,
    Connect,
    Demand,
    Drop,
    Event,
    GroupRejected,
    GroupScored,
    NetworkRestarted,
    OwnGroup,
    OwnStatus,
    PublishStatus,
    Pull,
    PullFailed,
    ReadAnnouncements,
    ReadStatuses,
    RememberPeer,
    StatusesRead,
    StoreBlob,
    StoreBody,
    Tick,
    Verify,
)
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.machine import Gossip
from swarmd.gossip.statistics import GossipStatistics, PeerView

__all__ = [
    "AddressesRemembered",
    "Announce",
    "Announced",
    "AnnouncementsRead",
    "BodyArrived",
    "Command",
    "Connect",
    "Demand",
    "Drop",
    "Event",
    "Gossip",
    "GossipLimits",
    "GossipStatistics",
    "GroupRejected",
    "GroupScored",
    "NetworkRestarted",
    "OwnGroup",
    "OwnStatus",
    "PeerView",
    "PublishStatus",
    "Pull",
    "PullFailed",
    "ReadAnnouncements",
    "ReadStatuses",
    "RememberPeer",
    "StatusesRead",
    "StoreBlob",
    "StoreBody",
    "Tick",
    "Verify",
]
