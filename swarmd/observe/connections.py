"""HTTP connections that cannot be held open for free: each has a short life, and idle ones make room for new
ones.

uvicorn limits the number of connections, but answers 503 to everyone once all are taken, and waits for a
request's headers without a limit.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

LIFETIME_S = 10.0  # of a connection; browsers reconnect silently
LIVES_UNTIL = "swarmd.lives_until"  # key in a request's scope: a monotonic time


def may_take(request: Request, seconds: float) -> None:
    """Let the answer to `request` take `seconds` from now, even beyond LIFETIME_S.

    Call it only once the whole request is read, so that a slow sender gains no time.
    """
    request.scope[LIVES_UNTIL] = time.monotonic() + seconds


class BriefConnection(H11Protocol):
    """uvicorn's HTTP/1.1, on a connection that ends after `LIFETIME_S` or when its slot is needed."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._opened = 0.0
        self._end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._make_room()
        super().connection_made(transport)
        self._opened = self.loop.time()
        self._end = self.loop.call_later(LIFETIME_S, self._expire)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def _expire(self) -> None:
        until = self.scope.get(LIVES_UNTIL) if self._is_answering and self.scope else None
        left = until - time.monotonic() if isinstance(until, float) else 0.0
        if left <= 0:
            self.transport.abort()
        else:
            self._end = self.loop.call_later(left + LIFETIME_S, self._expire)

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _make_room(self) -> None:
        """Stay below uvicorn's limit by closing the oldest connection that is not being answered."""
        most = (self.limit_concurrency or 2) - 1
        idle = [c for c in self.connections if isinstance(c, BriefConnection) and not c._is_answering]
        if len(self.connections) >= most and idle:
            oldest = min(idle, key=lambda connection: connection._opened)
            self.connections.discard(oldest)
            oldest.transport.abort()
