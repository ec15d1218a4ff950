"""Announced groups that might be pulled, and which one is next.

A publisher is drawn first and one of its groups second, so a peer that announces a thousand groups is
drawn no more often than one that announces two. Each peer has its own small place here.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from protocol import PeerId, VerifiedAnnouncement
from swarmd.gossip.limits import GossipLimits


@dataclass
class Candidate:
    """An announcement worth a pull."""

    announced: VerifiedAnnouncement
    tries: int = 0
    not_before: float = 0.0


class Candidates:
    """A bounded store of candidates by publisher. Does not judge publishers: callers pass `allowed`."""

    def __init__(self, limits: GossipLimits, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._by_peer: dict[PeerId, list[Candidate]] = {}
        self._count = 0
        self._recent: deque[PeerId] = deque(maxlen=limits.pull_window)

    def __len__(self) -> int:
        return self._count

    def count(self, per_peer: int) -> int:
        """How many there are when at most `per_peer` of each publisher count."""
        return sum(min(per_peer, len(waiting)) for waiting in self._by_peer.values())

    def add(self, candidate: Candidate) -> None:
        """Makes room by dropping the oldest of the same peer, or else one of whoever waits with the most."""
        peer = candidate.announced.publisher
        mine = self._by_peer.get(peer, ())
        if len(mine) >= self._limits.candidates_per_peer:
            self._remove_oldest(peer)
        elif self._count >= self._limits.candidates_max:
            self._remove_oldest(max(self._by_peer, key=lambda p: len(self._by_peer[p])))
        self._by_peer.setdefault(peer, []).append(candidate)
        self._count += 1

    def take(self, now: float, allowed: Callable[[PeerId], bool], busy: Iterable[bytes]) -> Candidate | None:
        """Remove and return the next one to pull, of an `allowed` publisher and with no digest in `busy`."""
        self.expire(now)
        in_flight = frozenset(busy)
        ready = {
            peer: items
            for peer, waiting in self._by_peer.items()
            if (items := [c for c in waiting if _is_ready(c, now, in_flight)]) and allowed(peer)
        }
        if not ready:
            return None
        most = self._limits.pull_share_max * self._limits.pull_window
        peer = self._rng.choice([p for p in ready if self._recent.count(p) < most] or list(ready))
        chosen = self._rng.choice(ready[peer])
        self._keep(peer, [c for c in self._by_peer[peer] if c is not chosen])
        self._recent.append(peer)
        return chosen

    def expire(self, now: float) -> None:
        for peer in list(self._by_peer):
            self._keep(peer, [c for c in self._by_peer[peer] if c.announced.announcement.expires > now])

    def forget(self, peer: PeerId) -> None:
        """Drop everything of a publisher that is ignored from now on."""
        self._keep(peer, [])

    def _remove_oldest(self, peer: PeerId) -> None:
        self._keep(peer, self._by_peer[peer][1:])

    def _keep(self, peer: PeerId, kept: list[Candidate]) -> None:
        self._count -= len(self._by_peer.get(peer, ())) - len(kept)
        if kept:
            self._by_peer[peer] = kept
        else:
            self._by_peer.pop(peer, None)


def _is_ready(candidate: Candidate, now: float, in_flight: frozenset[bytes]) -> bool:
    return candidate.not_before <= now and candidate.announced.announcement.digest not in in_flight
