"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from typing import TYPE_CHECKING

from swarmd.lazy import at_first_use

if TYPE_CHECKING:
    from swarmd.observe.client import (
        NoDaemonError,
        StartingError,
        ask_status,
        ask_to_judge,
        ask_to_ping,
        ask_to_play,
    )
    from swarmd.observe.events import EventLog
    from swarmd.observe.learning import (
        HeldOutCurve,
        Learning,
        Measured,
        RewardCurve,
        SelfEvaluation,
        TaskLearning,
        Trend,
    )
    from swarmd.observe.live import LiveView
    from swarmd.observe.live_state import LiveState
    from swarmd.observe.person_name import read_name
    from swarmd.observe.server import StatusServer
    from swarmd.observe.snapshot import (
        Disk,
        Durations,
        Groups,
        Health,
        HeardPeer,
        Hearing,
        HelpedPeer,
        Helping,
        IgnoredPeer,
        Judgement,
        JudgeView,
        LastStep,
        Memory,
        PeerView,
        Ranked,
        ReachView,
        Reward,
        Starting,
        StatusSnapshot,
        SwarmView,
        Traffic,
    )
    from swarmd.observe.sources import CompletionView, ImageView, RecordKind, RecordView, Sources
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
    "ImageView",
    "JudgeView",
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
    "ask_to_play",
    "printable",
    "read_name",
]

_LEARNING = (
    "HeldOutCurve",
    "Learning",
    "Measured",
    "RewardCurve",
    "SelfEvaluation",
    "TaskLearning",
    "Trend",
)

__getattr__ = at_first_use(
    __name__,
    {
        **dict.fromkeys(__all__, "snapshot"),
        **dict.fromkeys(_LEARNING, "learning"),
        **dict.fromkeys(("NoDaemonError", "StartingError"), "client"),
        **dict.fromkeys(("ask_status", "ask_to_judge", "ask_to_ping", "ask_to_play"), "client"),
        **dict.fromkeys(("CompletionView", "ImageView", "RecordKind", "RecordView", "Sources"), "sources"),
        "EventLog": "events",
        "LiveState": "live_state",
        "LiveView": "live",
        "StatusServer": "server",
        "StepLine": "step_line",
        "printable": "text",
        "read_name": "person_name",
    },
)
"""The server and its HTTP library take half a second to import, and most commands need neither."""
