"""One call to report that something happened: it goes to the log, a short memory and the live view's state.

This is not a metrics store: storage keeps the metrics of steps. Nothing here waits, and a log that cannot be
written does not stop the daemon.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Literal, TextIO

import structlog

from swarmd import streams
from swarmd.config import ObserveConfig
from swarmd.observe.live_state import LiveState, describe

EVENTS_KEPT = 256  # more than the daemon emits between two frames of the live view
FIELD_CHARS_MAX = 2_000  # one field of one line; peers choose some of the text
FIELD_ITEMS_MAX = 1_024  # of one list or mapping; the rest is dropped

Level = Literal["debug", "info", "warning", "error"]
EventName = Literal[
    "started",
    "loading",
    "downloading",
    "plan",
    "joined",
    "alone",
    "join_command",
    "page",
    "step",
    "phase",
    "external_short",
    "mix",
    "study",
    "published",
    "pulled",
    "rejected",
    "evaluated",
    "checkpoint",
    "resumed",
    "health",
    "reach",
    "peer_seen",
    "standing",
    "network_restarted",
    "warning",
    "stopping",
    "stopped",
]
OutputMode = Literal["live", "console", "json"]

_LEVELS: Mapping[str, Level] = {  # all others are info
    "phase": "debug",  # several per second
    "health": "debug",  # nearly every reason has a warning of its own
    "pulled": "debug",
    "published": "debug",
    "network_restarted": "warning",
    "warning": "warning",
}
_RANKS: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(frozen=True)
class Event:
    """Something that happened. `number` counts from 1 without gaps, `at` is wall-clock seconds."""

    number: int
    at: float
    name: str
    level: Level
    fields: Mapping[str, object]


class EventLog:
    """Where the daemon reports what it does. Not thread-safe: call it on the event loop."""

    def __init__(
        self,
        config: ObserveConfig,
        *,
        clock: Callable[[], float],
        stdout: TextIO | None = None,
        heard: Callable[[str, Mapping[str, object]], None] | None = None,
    ) -> None:
        """`heard` is called with the name and fields of each event."""
        stdout = sys.stdout if stdout is None else stdout
        self._stdout = stdout
        self.mode: OutputMode = _mode(config, stdout)
        self._heard = heard
        self.recent: deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._clock = clock
        self._rank_min = _RANKS[config.log_level]
        self._emitted = 0
        self.state = LiveState()
        """What the live view shows now."""
        self._logger: structlog.typing.FilteringBoundLogger | None = None
        if self.mode != "live":
            self._logger = _logger(stdout, self.mode)

    def emit(self, name: EventName, /, **fields: object) -> None:
        """Record one event. Fields are JSON values, bytes (shown as hex), paths or tuples of these."""
        self._emitted += 1
        if self._heard is not None:
            self._heard(name, fields)
        level = _LEVELS.get(name, "info")
        plain = {key: _plain(value) for key, value in fields.items()}
        event = Event(self._emitted, self._clock(), name, level, plain)
        if name != "phase":  # hundreds of progress events would displace what people should read
            self.recent.append(event)
        self.state = self.state.after(name, plain, event.at)
        if self._logger is not None and self.wanted(event):
            self._write(self._logger, event)

    def wanted(self, event: Event) -> bool:
        """Whether the event is important enough to print."""
        return _RANKS[event.level] >= self._rank_min

    def now(self) -> float:
        """The clock that dates the events, in wall-clock seconds."""
        return self._clock()

    def since(self, number: int) -> list[Event]:
        """The events after `number` that are still remembered, oldest first."""
        return [event for event in self.recent if event.number > number]

    def _write(self, logger: structlog.typing.FilteringBoundLogger, event: Event) -> None:
        ts = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {key: value for key, value in event.fields.items() if key not in ("ts", "event", "level")}
        try:
            getattr(logger, event.level)(event.name, ts=ts, **fields)
        except OSError as error:  # a full disk, or a reader that is gone: training continues without a log
            self._logger = None
            with suppress(OSError):  # a stream in memory has no descriptor
                streams.drop(self._stdout)  # else the end of the process would meet the error again
            self.emit(
                "warning", message=f"the log on stdout cannot be written ({error.strerror}): no more lines"
            )


def _mode(config: ObserveConfig, stdout: TextIO) -> OutputMode:
    if config.log_format == "auto":
        return "live" if stdout.isatty() else "json"
    return config.log_format


def _logger(stdout: TextIO, mode: OutputMode) -> structlog.typing.FilteringBoundLogger:
    json_lines = structlog.processors.JSONRenderer(sort_keys=False)
    rendering: structlog.typing.Processor = _line_for_people if mode == "console" else json_lines
    logger: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(stdout),
        processors=[structlog.processors.add_log_level, _ts_first, rendering],
        wrapper_class=structlog.make_filtering_bound_logger(_RANKS["debug"]),
        cache_logger_on_first_use=True,
    )
    return logger


def _ts_first(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Put ts, event and level first, so that lines are easy to scan."""
    first = ("ts", "event", "level")
    return {key: event[key] for key in first} | {k: v for k, v in event.items() if k not in first}


def _line_for_people(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> str:
    """Format the time of day in UTC, the level from warning up, and what happened, as in the live view."""
    fields = {key: value for key, value in event.items() if key not in ("ts", "event", "level")}
    bad = "" if event["level"] in ("debug", "info") else f"{event['level']}: "
    return f"{event['ts'][11:19]} {bad}{describe(event['event'], fields)}"


def _plain(value: object) -> object:
    """Return the value as bounded JSON. A field of any other type is shown by its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.hex()[:FIELD_CHARS_MAX]
    if isinstance(value, Mapping):
        return {_bounded(str(key)): _plain(item) for key, item in islice(value.items(), FIELD_ITEMS_MAX)}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in islice(value, FIELD_ITEMS_MAX)]
    return _bounded(str(value))


def _bounded(text: str) -> str:
    return text if len(text) <= FIELD_CHARS_MAX else text[: FIELD_CHARS_MAX - 1] + "…"
