"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from swarmd.observe.client import NoDaemonError, StartingError, ask_status, ask_to_judge, ask_to_ping
from swarmd.observe.events import EventLog
from swarmd.observe.live import LiveView
from swarmd.observe.live_state import LiveState
from swarmd.observe.server import StatusServer
from swarmd.observe.snapshot import (
    Disk,
    Groups,
    Health,
    HeardPeer,
    Hearing,
    HelpedPeer,
    Helping,
    IgnoredPeer,
    Judgement,
    PeerView,
    Reward,
    SelfEvaluation,
    Starting,
    StatusSnapshot,
)
from swarmd.observe.text import printable

__all__ = [
    "Disk",
    "EventLog",
    "Groups",
    "Health",
    "HeardPeer",
    "Hearing",
    "HelpedPeer",
    "Helping",
    "IgnoredPeer",
    "Judgement",
    "LiveState",
    "LiveView",
    "NoDaemonError",
    "PeerView",
    "Reward",
    "SelfEvaluation",
    "Starting",
    "StartingError",
    "StatusServer",
    "StatusSnapshot",
    "ask_status",
    "ask_to_judge",
    "ask_to_ping",
    "printable",
]
