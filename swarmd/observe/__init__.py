"""How the daemon shows itself: events, live view, status over a socket and HTTP, metrics."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    "printable",
]

_MODULES = {
    "EventLog": "events",
    "LiveState": "live_state",
    "LiveView": "live",
    "NoDaemonError": "client",
    "StartingError": "client",
    "StatusServer": "server",
    "ask_status": "client",
    "ask_to_judge": "client",
    "printable": "text",
}
"""The rest are of `snapshot`."""


def __getattr__(name: str) -> object:
    """Imported at first use: the server and its HTTP take half a second, and most commands need neither."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"swarmd.observe.{_MODULES.get(name, 'snapshot')}"), name)
