"""Slots for concurrently served streams, and which stream gives up its slot when none is free.

A slot is not held for good. If its client sends nothing, or lingers after it has received its answer, the
slot can be given to the next stream. Silent streams therefore lock nobody out, however many names open them.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum

from swarmd.network.interface import Standing

STREAMS_PER_PEER = 4
"""Concurrent streams per peer in each direction, so that one slow or greedy peer does not use up the slots of
others.
"""

STREAMS_SERVED = 64
"""Streams served at once to all peers. Buffers for 64 bodies of 64 KiB, plain and compressed, take 8 MiB."""


class Rank(IntEnum):
    """The priority of a peer's stream. A connection costs nothing, so a peer that delivered outranks one that
    is merely met.
    """

    BANNED = 0
    STRANGER = 1
    MET = 2
    DELIVERED = 3
    KNOWN = 4

    @classmethod
    def of(cls, standing: Standing, *, delivered: bool) -> Rank:
        """`delivered`: whether the peer delivered a body over its own connection."""
        if standing is Standing.MET and delivered:
            return cls.DELIVERED
        return cls[standing.name]


RESERVED = {Rank.BANNED: 0, Rank.STRANGER: 32, Rank.MET: 44, Rank.DELIVERED: 56, Rank.KNOWN: 64}
"""Slots that peers of one rank and all lower ranks can use together."""

SILENT_S = 0.25
"""Seconds after which a slot whose client has sent no request, or no receipt, can be given to another stream.
A peer's slots that wait for a request share this time: with four of them, each gets a sixteenth of a
second ...
"""

SLOWEST_BYTES_PER_S = 32_768
"""... plus time for a reply that the client may still be reading: 2 s for the largest body."""

STREAM_SECONDS = 10.0
"""Seconds for one request and reply, on both sides. 64 KiB at 10 KB/s take 6.5 s."""


@dataclass(eq=False)
class Place:
    """The slot of one stream."""

    peer: str
    rank: Rank
    deadline: asyncio.Timeout
    since: float
    """When it began to wait for its client, by the event loop's clock."""
    patience: float = field(default_factory=lambda: SILENT_S)
    was_asked: bool = False
    """Whether its client has sent a request."""
    given_up: bool = False

    def answered(self, reply_bytes: int) -> None:
        """The request arrived and the reply is being sent. The client has STREAM_SECONDS to read it."""
        self.since = asyncio.get_running_loop().time()
        self.patience = SILENT_S + reply_bytes / SLOWEST_BYTES_PER_S
        self.was_asked = True
        if not self.given_up:
            self.deadline.reschedule(self.since + STREAM_SECONDS)

    def give_up(self) -> None:
        """End the stream now."""
        self.given_up = True
        if not self.deadline.expired():
            self.deadline.reschedule(asyncio.get_running_loop().time())


class Places:
    """All slots of one server."""

    def __init__(self) -> None:
        self._taken: dict[Place, None] = {}
        self._of_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    @contextmanager
    def take(self, peer: str, rank: Rank, deadline: asyncio.Timeout) -> Iterator[Place | None]:
        """Yield a slot until the block exits, or None if there is none. `deadline`: the stream's time-out."""
        now = asyncio.get_running_loop().time()
        if not self._has_room(peer, rank, now):
            yield None
            return
        place = Place(peer, rank, deadline, now)
        self._taken[place] = None
        self._of_peer[peer] += 1
        try:
            yield place
        finally:
            self._leave(place)

    def _has_room(self, peer: str, rank: Rank, now: float) -> bool:
        if self._of_peer[peer] >= STREAMS_PER_PEER:
            return False
        if len(self._taken) >= STREAMS_SERVED:
            return self._freed([place for place in self._taken if place.rank <= rank], now)
        as_low = [place for place in self._taken if place.rank <= rank]
        return len(as_low) < RESERVED[rank] or self._freed(as_low, now)

    def _freed(self, places: list[Place], now: float) -> bool:
        """Give up one of `places` that has waited too long. Return whether there was one.

        Chooses by lowest rank, then by the peer with most slots, then by the longest wait.
        """
        waiting = [place for place in places if now - place.since >= self._patience(place)]
        if not waiting:
            return False
        victim = max(waiting, key=lambda place: (-place.rank, self._of_peer[place.peer], -place.since))
        victim.give_up()
        self._leave(victim)
        return True

    def _patience(self, place: Place) -> float:
        return place.patience if place.was_asked else place.patience / self._of_peer[place.peer]

    def _leave(self, place: Place) -> None:
        if place in self._taken:
            del self._taken[place]
            self._of_peer[place.peer] -= 1
            self._of_peer += Counter()  # drops peers at zero
