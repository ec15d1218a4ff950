"""Turn the packages' log lines into events, so that one stream carries everything in one format."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import MutableMapping
from typing import Any

import structlog

from swarmd.observe import EventLog

RENAMED = frozenset({"event", "exc_info"})
PRINTED = frozenset({"warning", "error", "critical", "exception"})  # lower levels are for developers


def route_logs(events: EventLog, loop: asyncio.AbstractEventLoop) -> None:
    """Send the packages' log lines to `events` from now on, from any thread."""
    home_thread = threading.get_ident()

    def to_events(_: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in PRINTED:
            fields = {key: value for key, value in line.items() if key not in RENAMED}
            fields["message"] = str(line.get("event", ""))
            if isinstance(error := line.get("exc_info"), BaseException):
                fields["error"] = repr(error)
            if threading.get_ident() == home_thread:
                events.emit("warning", **fields)
            else:
                loop.call_soon_threadsafe(lambda: events.emit("warning", **fields))
        raise structlog.DropEvent

    structlog.configure(processors=[to_events], cache_logger_on_first_use=False)
