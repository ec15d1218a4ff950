"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swarmd.observe.client import NoDaemonError, StartingError, ask_status, ask_to_judge, ask_to_ping
    from swarmd.observe.events import EventLog
    from swarmd.observe.live import LiveView
    from swarmd.observe.live_state import LiveState
    from swarmd.observe.server import StatusServer
    from swarmd.observe.snapshot import (
        Disk,
        Durations,
        Groups,
        Health,
        HeardPeer,
        Hearing,
        HeldOutCurve,
        HelpedPeer,
        Helping,
        IgnoredPeer,
        Judgement,
        LastStep,
        Learning,
        Measured,
        Memory,
        PeerView,
        Ranked,
        ReachView,
        Reward,
        RewardCurve,
        SelfEvaluation,
        Starting,
        StatusSnapshot,
        SwarmView,
        TaskLearning,
        Traffic,
        Trend,
    )
    from swarmd.observe.sources import CompletionView, RecordKind, RecordView, Sources
    from swarmd.observe.step_line import StepLine
    from swarmd.observe.text import printable

__all__ = [
    "CompletionView",
    "Disk",
    "Durations",
    "EventLog",
    "Groups",
    "Health",
    "HeardPeer",
    "Hearing",
    "HeldOutCurve",
    "HelpedPeer",
    "Helping",
    "IgnoredPeer",
    "Judgement",
    "LastStep",
    "Learning",
    "LiveState",
    "LiveView",
    "Measured",
    "Memory",
    "NoDaemonError",
    "PeerView",
    "Ranked",
    "ReachView",
    "RecordKind",
    "RecordView",
    "Reward",
    "RewardCurve",
    "SelfEvaluation",
    "Sources",
    "Starting",
    "StartingError",
    "StatusServer",
    "StatusSnapshot",
    "StepLine",
    "SwarmView",
    "TaskLearning",
    "Traffic",
    "Trend",
    "ask_status",
    "ask_to_judge",
    "ask_to_ping",
    "printable",
]

_MODULES = {
    "EventLog": "events",
    "LiveState": "live_state",
    "LiveView": "live",
    "NoDaemonError": "client",
    "StartingError": "client",
    **dict.fromkeys(("CompletionView", "RecordKind", "RecordView", "Sources"), "sources"),
    "StatusServer": "server",
    "StepLine": "step_line",
    "ask_status": "client",
    "ask_to_judge": "client",
    "ask_to_ping": "client",
    "printable": "text",
}
"""The rest are of `snapshot`."""


def __getattr__(name: str) -> object:
    """Imported at first use: the server and its HTTP take half a second, and most commands need neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"swarmd.observe.{_MODULES.get(name, 'snapshot')}"), name)
