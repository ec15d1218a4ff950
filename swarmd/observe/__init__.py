"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from swarmd.observe.client import NoDaemonError, StartingError, ask_status, ask_to_judge
from swarmd.observe.events import EventLog
from swarmd.observe.live import LiveView
from swarmd.observe.live_state import LiveState
from swarmd.observe.server import StatusServer
from swarmd.observe.snapshot import (
    Disk,
    Groups,
    Health,
    IgnoredPeer,
    Judgement,
    PeerView,
    Ranked,
    Reward,
    SelfEvaluation,
    Starting,
    StatusSnapshot,
    SwarmView,
)
from swarmd.observe.sources import CompletionView, RecordKind, RecordView, Sources
from swarmd.observe.text import printable

__all__ = [
    "CompletionView",
    "Disk",
    "EventLog",
    "Groups",
    "Health",
    "IgnoredPeer",
    "Judgement",
    "LiveState",
    "LiveView",
    "NoDaemonError",
    "PeerView",
    "Ranked",
    "RecordKind",
    "RecordView",
    "Reward",
    "SelfEvaluation",
    "Sources",
    "Starting",
    "StartingError",
    "StatusServer",
    "StatusSnapshot",
    "SwarmView",
    "ask_status",
    "ask_to_judge",
    "printable",
]
