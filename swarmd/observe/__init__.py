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
    HeldOutCurve,
    IgnoredPeer,
    Judgement,
    Learning,
    Measured,
    PeerView,
    Reward,
    RewardCurve,
    SelfEvaluation,
    Starting,
    StatusSnapshot,
    TaskLearning,
    Trend,
)
from swarmd.observe.text import printable

__all__ = [
    "Disk",
    "EventLog",
    "Groups",
    "Health",
    "HeldOutCurve",
    "IgnoredPeer",
    "Judgement",
    "Learning",
    "LiveState",
    "LiveView",
    "Measured",
    "NoDaemonError",
    "PeerView",
    "Reward",
    "RewardCurve",
    "SelfEvaluation",
    "Starting",
    "StartingError",
    "StatusServer",
    "StatusSnapshot",
    "TaskLearning",
    "Trend",
    "ask_status",
    "ask_to_judge",
    "printable",
]
