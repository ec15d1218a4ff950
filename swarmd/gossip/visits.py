"""Decides which publishers to ask for more, and which to pull from again before leaving them. Pure.

Opening a connection to a stranger costs as much on the wire as half a body, and finding a publisher through
the DHT costs twenty calls. A publisher that just delivered is therefore asked for its other announcements,
and a publisher that had to be dialled is visited: while others of the same class have no better claim, the
next pulls are from it too, up to the share that one publisher may have (`candidates.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits

VISIT_S = 30.0
"""Seconds after the first pull in which further pulls count as the same visit: the connection is still open,
and at the pace of the largest swarms measured 16 pulls pass, four of which can be from one publisher.
"""

PARTING = 2  # times as many peers as connections: most connections are closed before they are used again

HELPFUL_S = 60.0
"""Seconds for which an answer with new announcements shows that publishers tell: a round of a minute."""

ASKED_MAX = 1_024
"""Publishers that are not asked again so soon, newest first: no peer pulls from so many in three minutes."""


@dataclass(frozen=True)
class _Visit:
    party: Party
    since: float


class Visits:
    """Times are in Unix seconds."""

    def __init__(self, limits: GossipLimits, contacts: Contacts) -> None:
        self._limits = limits
        self._contacts = contacts
        self._visited: dict[PeerId, _Visit] = {}
        self._asked: Kept[PeerId, float] = Kept(ASKED_MAX)
        """When each publisher was last asked."""
        self._helped_at = float("-inf")

    def pulled(self, publisher: PeerId, party: Party, now: float) -> None:
        """A publisher is pulled from, in a turn of `party`. A visit begins if this peer will part from it."""
        if not self._will_part_from(publisher, now):
            return
        self._visited = {peer: one for peer, one in self._visited.items() if abs(now - one.since) < VISIT_S}
        self._visited.setdefault(publisher, _Visit(party, now))

    def drawn_as(self, publisher: PeerId, now: float) -> Party | None:
        """Return the party in whose turn a visit to the publisher began; None if it is not visited."""
        visit = self._visited.get(publisher)
        return visit.party if visit is not None and abs(now - visit.since) < VISIT_S else None

    def ask(self, publisher: PeerId, now: float) -> bool:
        """Return whether to ask a publisher that delivered, and if so, note that it is asked."""
        asked_at = self._asked.get(publisher)
        if asked_at is not None and abs(now - asked_at) < self._limits.publisher_interval_s:
            return False
        self._asked.put(publisher, now, close=False)
        return True

    def told(self, new: int, now: float) -> None:
        """A publisher answered with `new` announcements worth a pull."""
        if new:
            self._helped_at = now

    def helped_lately(self, now: float) -> bool:
        return abs(now - self._helped_at) < HELPFUL_S

    def _will_part_from(self, publisher: PeerId, now: float) -> bool:
        """Whether a later pull from the publisher would probably need a new connection."""
        connected = self._contacts.connections
        if len(connected) < self._limits.visit_connections_min:
            return False
        return publisher not in connected or self._contacts.size(now) > PARTING * len(connected)
