"""Places for the streams that are served at once, and who gives one up when there are none left.

A place is not taken for good. If its client says nothing, or has its answer and does not go, the place is
given to the next stream. So silent streams keep nobody out, however many names open them.
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
"""Streams of one peer at once, in each direction: its slow link or greed takes no places of others."""

STREAMS_SERVED = 64
"""Streams served at once to all peers: 64 bodies of 64 KiB, and 64 compressed, are 8 MiB of buffers."""


class Rank(IntEnum):
    """Whose stream comes first. A connection costs a peer nothing, so one that delivered stands above it."""

    BANNED = 0
    STRANGER = 1
    MET = 2
    DELIVERED = 3
    KNOWN = 4

    @classmethod
    def of(cls, standing: Standing, *, delivered: bool) -> Rank:
        """`delivered`: whether a body of the peer came over its own connection."""
        if standing is Standing.MET and delivered:
            return cls.DELIVERED
        return cls[standing.name]


RESERVED = {Rank.BANNED: 0, Rank.STRANGER: 32, Rank.MET: 44, Rank.DELIVERED: 56, Rank.KNOWN: 64}
"""Places that peers of one rank and those below it may have together."""

SILENT_S = 0.25
"""Seconds after which a place whose client has sent no request, or no receipt, may be given to another. Of
one peer's places that wait for a request, each has its part of that: a sixteenth of a second of four ..."""

SLOWEST_BYTES_PER_S = 32_768
"""... and more for a reply that it may still be reading: 2 s for the largest body."""

STREAM_SECONDS = 10.0
"""For one request and reply, both sides; 64 KiB at 10 KB/s take 6.5 s."""


@dataclass(eq=False)
class Place:
    """One stream's place."""

    peer: str
    rank: Rank
    deadline: asyncio.Timeout
    since: float
    """When it began to wait for its client, by the loop's clock."""
    patience: float = field(default_factory=lambda: SILENT_S)
    was_asked: bool = False
    """Whether its client has sent a request."""
    given_up: bool = False

    def answered(self, reply_bytes: int) -> None:
        """The request is here, and the reply on its way: the client has STREAM_SECONDS to take it."""
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
    """All places of one server."""

    def __init__(self) -> None:
        self._taken: dict[Place, None] = {}
        self._of_peer: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._taken)

    @contextmanager
    def take(self, peer: str, rank: Rank, deadline: asyncio.Timeout) -> Iterator[Place | None]:
        """A place until the block is left, or None; `deadline` is that of the stream."""
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
        """Give up one of `places` that waits too long; returns whether there was one.

        The lowest rank goes first, then a peer with many places, then the longest wait.
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
