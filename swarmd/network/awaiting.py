"""Calls to several nodes at once, and how long each is waited for.

A node that answers just before its time-out would hold up every search and every store. So:

- contacts are waited for until their calls end;
- others are waited for PROMPT_S, and not at all if they were late the last time;
- while too few have answered, everybody is waited for: all may be far away.

Nobody is cut off. A late answer is still taken if it comes while something else is waited for.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from swarmd.network.newest import put_newest

About = TypeVar("About")
Answer = TypeVar("Answer")

Spawn = Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]
"""Starts a call that may outlive whoever waits for it. Its owner ends it."""

PROMPT_S = 0.75
"""Seconds for which a node is waited for that is no contact: half the time-out of a call. A round trip round
the world by a relay takes 0.6 s."""

ENOUGH = 4
"""Answers by nodes that are no contacts, or one by a contact, after which late nodes are not waited for."""

LATE_MAX = 1_024
"""Nodes remembered as late; the one that was late longest ago is forgotten first."""


class Lateness:
    """Which nodes were late the last time that they were called. Pure."""

    def __init__(self) -> None:
        self._late: OrderedDict[int, None] = OrderedDict()
        self._under_way: Counter[int] = Counter()

    def began(self, node: int) -> None:
        """A call to `node` began. `took` must follow."""
        self._under_way[node] += 1

    def took(self, node: int, seconds: float) -> None:
        """A call to `node` ended."""
        self._under_way[node] -= 1
        if not self._under_way[node]:
            del self._under_way[node]
        self._late.pop(node, None)
        if seconds > PROMPT_S:
            put_newest(self._late, node, None, LATE_MAX)

    def __contains__(self, node: object) -> bool:
        return node in self._late

    def keeps_waiting(self, node: int) -> bool:
        """Whether the node was late and has yet to answer. One more call to it would only add to a queue."""
        return node in self._late and node in self._under_way


@dataclass(frozen=True)
class _Call(Generic[About]):
    about: About
    contact: bool
    until: float
    """Of a node that is no contact: when it is no longer waited for."""


class Calls(Generic[About, Answer]):
    """Calls under way. `about` is what the caller wants back beside the answer."""

    def __init__(self, spawn: Spawn, lateness: Lateness, seconds_max: float) -> None:
        """`seconds_max`: in all, after which nothing is waited for."""
        self._spawn = spawn
        self._lateness = lateness
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + seconds_max
        self._calls: dict[asyncio.Task[Answer | None], _Call[About]] = {}
        self._heard = 0

    def start(
        self, node: int, about: About, work: Callable[[], Awaitable[Answer | None]], *, contact: bool
    ) -> None:
        """Begin a call. `work` returns None if the node does not answer."""
        now = self._loop.time()
        until = now if node in self._lateness else now + PROMPT_S
        self._calls[self._spawn(self._timed(node, work))] = _Call(about, contact, until)

    @property
    def waited_for(self) -> int:
        """How many calls are waited for now."""
        now = self._loop.time()
        return sum(self._waits_until(call) > now for call in self._calls.values())

    async def some(self) -> list[tuple[About, Answer | None]]:
        """The next calls that end, or nothing if one is no longer waited for. Call it while some are."""
        now = self._loop.time()
        first = min(until for until in map(self._waits_until, self._calls.values()) if until > now)
        ended, _ = await asyncio.wait(self._calls, timeout=first - now, return_when=asyncio.FIRST_COMPLETED)
        found = []
        for task in ended:
            call = self._calls.pop(task)
            answer = None if task.cancelled() else task.result()
            if answer is not None:
                self._heard += ENOUGH if call.contact else 1
            found.append((call.about, answer))
        return found

    def _waits_until(self, call: _Call[About]) -> float:
        patient = call.contact or self._heard < ENOUGH
        return self._end if patient else min(self._end, call.until)

    async def _timed(self, node: int, work: Callable[[], Awaitable[Answer | None]]) -> Answer | None:
        began = self._loop.time()
        self._lateness.began(node)
        try:
            return await work()
        finally:
            self._lateness.took(node, self._loop.time() - began)
