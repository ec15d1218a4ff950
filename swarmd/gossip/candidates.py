"""Announced groups that are candidates for a pull, and the choice of the next one.

A party is drawn first, then one of its publishers, then one of the publisher's groups. A peer that announces
a thousand groups, or has a thousand identities, is therefore drawn no more often than one that announces two
(`turns.py`). Each peer has a few slots. When all slots are used, the largest party loses one.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappush, heapreplace

from protocol import PeerId, VerifiedAnnouncement
from swarmd.gossip.contacts import Party
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.turns import next_parties
from swarmd.network.interface import Standing

OWING_MAX = 64
"""Parties whose turns in advance are remembered, newest last: those of two minutes in a swarm of thousands,
where a party rarely returns at all.
"""

PartyOf = Callable[[PeerId], Party]


@dataclass
class Candidate:
    """An announcement of a group worth pulling."""

    announced: VerifiedAnnouncement
    told: bool = False
    """Its publisher told it on request; it was not met by chance."""
    tries: int = 0
    not_before: float = 0.0


class Candidates:
    """A bounded store of candidates by publisher. It does not judge publishers: callers pass `allowed`."""

    def __init__(self, limits: GossipLimits, rng: random.Random) -> None:
        self._limits = limits
        self._rng = rng
        self._by_peer: dict[PeerId, list[Candidate]] = {}
        self._count = 0
        self._recent: deque[PeerId] = deque(maxlen=limits.pull_window)
        self._owes: dict[str, int] = {}
        """Turns that parties have had in advance, by their names."""

    def __len__(self) -> int:
        return self._count

    def count(self, per_peer: int, party_of: PartyOf, allowed: Callable[[PeerId], bool]) -> dict[Party, int]:
        """Count the candidates per party, at most `per_peer` for each `allowed` publisher."""
        counts: Counter[Party] = Counter()
        for peer, waiting in self._by_peer.items():
            if allowed(peer):
                counts[party_of(peer)] += min(per_peer, len(waiting))
        return dict(counts)

    def add(self, candidate: Candidate) -> None:
        """Add a candidate. If its peer has no slot left, drop the peer's oldest. Call `trim` afterwards."""
        peer = candidate.announced.publisher
        if len(self._by_peer.get(peer, ())) >= self._limits.candidates_per_peer:
            self._remove_oldest(peer)
        self._by_peer.setdefault(peer, []).append(candidate)
        self._count += 1

    def trim(self, party_of: PartyOf) -> None:
        """Drop what exceeds the bound: in the largest party, the oldest of the peer with the most."""
        if self._count <= self._limits.candidates_max:
            return
        counts: Counter[Party] = Counter()
        most_first: defaultdict[Party, list[tuple[int, int, PeerId]]] = defaultdict(list)  # heaps
        for position, (peer, waiting) in enumerate(self._by_peer.items()):
            party = party_of(peer)
            counts[party] += len(waiting)
            heappush(most_first[party], (-len(waiting), position, peer))
        while self._count > self._limits.candidates_max:
            largest = max(counts, key=lambda party: counts[party])
            fewer, position, victim = most_first[largest][0]
            self._remove_oldest(victim)
            heapreplace(most_first[largest], (fewer + 1, position, victim))
            counts[largest] -= 1

    def take(
        self,
        now: float,
        allowed: Callable[[PeerId], bool],
        busy: Iterable[bytes],
        party_of: PartyOf,
        visit_of: Callable[[PeerId], Party | None] = lambda _peer: None,
    ) -> Candidate | None:
        """Remove and return the next candidate with an `allowed` publisher and a digest not in `busy`.

        `visit_of`: the party as which a publisher was drawn that is being visited. Such publishers come
        before others of that party and of its equals, up to their share of the pulls, and until their own
        party owes as many turns.
        """
        self.expire(now)
        in_flight = frozenset(busy)
        ready = {
            peer: items
            for peer, waiting in self._by_peer.items()
            if (items := [c for c in waiting if _is_ready(c, now, in_flight)]) and allowed(peer)
        }
        if not ready:
            return None
        members: defaultdict[Party, list[PeerId]] = defaultdict(list)
        for peer in ready:
            members[visit_of(peer) or party_of(peer)].append(peer)
        turn = next_parties(list(members), self._rng)
        most = self._limits.pull_share_max * self._limits.pull_window
        recent = Counter(map(party_of, self._recent))
        visited = [
            peer
            for party in turn
            for peer in members[party]
            if visit_of(peer)
            and party_of(peer).standing > Standing.STRANGER
            and recent[party_of(peer)] < most
            and self._owes.get(party_of(peer).name, 0) < most
        ]
        if visited:
            peer = self._rng.choice(visited)
            self._owe(party_of(peer))
        else:
            party = self._draw([p for p in turn if recent[p] < most] or turn)
            peers = members[party]
            peer = self._rng.choice([p for p in peers if self._recent.count(p) < most] or peers)
        chosen = self._rng.choice(ready[peer])
        self._keep(peer, [c for c in self._by_peer[peer] if c is not chosen])
        self._recent.append(peer)
        return chosen

    def _draw(self, parties: Sequence[Party]) -> Party:
        """Draw a party. One that had pulls beyond its turn pays for each with a turn."""
        while True:
            party = self._rng.choice(parties)
            owed = self._owes.pop(party.name, 0)
            if not owed:
                return party
            if owed > 1:
                self._owes[party.name] = owed - 1

    def _owe(self, party: Party) -> None:
        """The party has a pull beyond its turn."""
        self._owes[party.name] = self._owes.pop(party.name, 0) + 1
        if len(self._owes) > OWING_MAX:
            del self._owes[next(iter(self._owes))]

    def expire(self, now: float) -> None:
        for peer in list(self._by_peer):
            self._keep(peer, [c for c in self._by_peer[peer] if c.announced.announcement.expires > now])

    def retry(self, peers: Iterable[PeerId]) -> None:
        """Allow an immediate retry of these publishers' failed groups."""
        for peer in peers:
            for candidate in self._by_peer.get(peer, ()):
                candidate.not_before = 0.0

    def retry_all(self) -> None:
        self.retry(self._by_peer)

    def forget(self, peer: PeerId) -> None:
        """Drop all candidates of a publisher that is ignored from now on."""
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
