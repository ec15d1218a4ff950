"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from swarmd.observe.client import NoDaemonError, StartingError, ask_status
from swarmd.observe.events import Event, EventLog, EventName
from swarmd.observe.live import LiveView
from swarmd.observe.live_state import LiveState
from swarmd.observe.server import StatusServer
from swarmd.observe.snapshot import (
    Groups,
    Health,
    PeerView,
    Reward,
    SelfEvaluation,
    Starting,
    StatusSnapshot,
)
from swarmd.observe.text import printable

__all__ = [
    "Event",
    "EventLog",
    "EventName",
    "Groups",
    "Health",
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
    "printable",
]
