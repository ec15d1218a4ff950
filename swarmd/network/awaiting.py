"""Concurrent calls to several nodes, and how long to wait for each.

A single node that answers just before its time-out would delay every search and every store. Therefore:

- calls to contacts are awaited until they end;
- calls to other nodes are awaited for PROMPT_S, or not at all if the node was late the last time;
- until enough nodes have answered, all calls are awaited, because all nodes may be far away.

No call is cancelled. A late answer is still used if it arrives while other calls are awaited.
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
"""Starts a call that can outlive the code awaiting it. Its owner ends it."""

PROMPT_S = 0.75
"""Seconds to wait for a node that is not a contact: half the time-out of a call. A round trip around the
world through a relay takes 0.6 s.
"""

ENOUGH = 4
"""Late nodes are no longer awaited after this many answers from nodes that are not contacts, or one from a
contact.
"""

LATE_MAX = 1_024
"""Nodes remembered as late. The entry that was late longest ago is dropped first."""


class Lateness:
    """Which nodes were late in their last call. Pure."""

    def __init__(self) -> None:
        self._late: OrderedDict[int, None] = OrderedDict()
        self._under_way: Counter[int] = Counter()

    def began(self, node: int) -> None:
        """A call to `node` began. Must be followed by `took`."""
        self._under_way[node] += 1

    def took(self, node: int, seconds: float) -> None:
        """A call to `node` ended after `seconds`."""
        self._under_way[node] -= 1
        if not self._under_way[node]:
            del self._under_way[node]
        self._late.pop(node, None)
        if seconds > PROMPT_S:
            put_newest(self._late, node, None, LATE_MAX)

    def __contains__(self, node: object) -> bool:
        return node in self._late

    def keeps_waiting(self, node: int) -> bool:
        """Whether the node was late and still has a call open. Another call would only join a queue."""
        return node in self._late and node in self._under_way


@dataclass(frozen=True)
class _Call(Generic[About]):
    about: About
    contact: bool
    until: float
    """When the answer is late, and when to stop waiting for a node that is not a contact."""


class Calls(Generic[About, Answer]):
    """Open calls. `about` is returned to the caller with each answer."""

    def __init__(self, spawn: Spawn, lateness: Lateness, seconds_max: float) -> None:
        """`seconds_max`: the total time after which no call is awaited."""
        self._spawn = spawn
        self._lateness = lateness
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + seconds_max
        self._calls: dict[asyncio.Task[Answer | None], _Call[About]] = {}
        self._in_time: dict[asyncio.Task[Answer | None], None] = {}
        """Calls that are not late, oldest first."""
        self._heard = 0

    def start(
        self, node: int, about: About, work: Callable[[], Awaitable[Answer | None]], *, contact: bool
    ) -> None:
        """Start a call. `work` returns None if the node does not answer."""
        now = self._loop.time()
        until = now if node in self._lateness else now + PROMPT_S
        task = self._spawn(self._timed(node, work))
        self._calls[task] = _Call(about, contact, until)
        self._in_time[task] = None

    @property
    def waited_for(self) -> int:
        """The number of calls that are awaited now."""
        now = self._loop.time()
        return sum(self._waits_until(call) > now for call in self._calls.values())

    def late(self) -> list[About]:
        """Return the calls that became late since the last time. Some of them may be awaited nevertheless."""
        now = self._loop.time()
        late = [task for task in self._in_time if self._calls[task].until <= now]
        for task in late:
            del self._in_time[task]
        return [self._calls[task].about for task in late]

    async def some(self) -> list[tuple[About, Answer | None]]:
        """Return the next calls that end, or none if one becomes late or expires first, as the last one can
        since `waited_for` was read. Requires a call that has not ended.
        """
        now = self._loop.time()
        ends = (*map(self._waits_until, self._calls.values()), *(self._calls[t].until for t in self._in_time))
        first = min((until for until in ends if until > now), default=now)
        ended, _ = await asyncio.wait(self._calls, timeout=first - now, return_when=asyncio.FIRST_COMPLETED)
        found = []
        for task in ended:
            call = self._calls.pop(task)
            self._in_time.pop(task, None)
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
