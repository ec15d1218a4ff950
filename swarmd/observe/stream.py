"""Live updates of the page: server-sent events, a bounded number of streams, each of bounded length.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Callable
from functools import lru_cache

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from swarmd.errors import StorageError
from swarmd.names import name_of
from swarmd.observe.connections import may_take
from swarmd.observe.live_state import describe
from swarmd.observe.snapshot import Starting, StatusSnapshot
from swarmd.observe.sources import Sources

STREAMS_MAX = 16  # pages open at once; further ones poll every few seconds instead
PERIOD_S = 2.0  # between two updates: fast enough for a person
FRESH_S = 1.0  # all pages share a state for this long: building one takes the event loop tens of ms
STREAM_S = 900.0  # then the browser reconnects, so that a stalled reader does not hold a slot forever
NAMES_MAX = 1_024  # peers named in one update: those of the snapshot, and more

_PEER_ID = re.compile(r"12D3KooW[1-9A-HJ-NP-Za-km-z]{44}")
_name_of = lru_cache(maxsize=4 * NAMES_MAX)(name_of)

Snapshot = Callable[[], StatusSnapshot | Starting]


def names_in(text: str) -> dict[str, str]:
    """Return peer id -> name, for the first NAMES_MAX peers in `text`."""
    found: dict[str, str] = {}
    for match in _PEER_ID.finditer(text):
        if len(found) == NAMES_MAX:
            break
        found[match[0]] = _name_of(match[0])
    return found


def page_state(snapshot: StatusSnapshot | Starting) -> str:
    """Return the JSON of one update: {"status": ..., "names": ...}."""
    status = snapshot.model_dump_json()
    return f'{{"status":{status},"names":{json.dumps(names_in(status))}}}'


class Streams:
    """The streams of one application."""

    def __init__(self, snapshot: Snapshot, sources: Sources) -> None:
        self._snapshot = snapshot
        self._sources = sources
        self._state = ""
        self._state_at = -math.inf
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        """End all streams now, so that a stopping server need not wait for them. Idempotent."""
        self._closing.set()

    def state(self) -> str:
        """Return the JSON of one update, at most FRESH_S old. Raises StorageError."""
        now = time.monotonic()
        if now - self._state_at >= FRESH_S:
            self._state = page_state(self._snapshot())
            self._state_at = now
        return self._state

    async def answer(self, request: Request) -> Response:
        """Return a stream of `state` and `events`, or 503 if all slots are taken."""
        if self._open >= STREAMS_MAX:
            return PlainTextResponse(
                f"{STREAMS_MAX} pages are open already\n", status_code=503, headers={"retry-after": "10"}
            )
        may_take(request, STREAM_S)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._messages(), media_type="text/event-stream", headers=headers)

    async def _messages(self) -> AsyncIterator[str]:
        self._open += 1
        try:
            last = 0
            began = time.monotonic()
            while time.monotonic() - began < STREAM_S and not self._closing.is_set():
                try:
                    state = self.state()
                except StorageError:  # the page then requests /state, which says why
                    return
                yield _message("state", state)
                events = self._sources.events_since(last)
                if events or last == 0:
                    shown = [
                        {"at": e.at, "name": e.name, "level": e.level, "text": describe(e.name, e.fields)}
                        for e in events
                    ]
                    yield _message("events", json.dumps({"reset": last == 0, "events": shown}))
                    last = events[-1].number if events else last
                try:
                    await asyncio.wait_for(self._closing.wait(), PERIOD_S)
                except TimeoutError:
                    continue
        finally:
            self._open -= 1


def _message(name: str, data: str) -> str:
    """Format one event. JSON contains no line break, so it is one line of data."""
    return f"event: {name}\ndata: {data}\n\n"
