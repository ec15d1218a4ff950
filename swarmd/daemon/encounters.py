"""Writes down whom this peer meets: who pulled from here, who is there, and who left in good order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from protocol import PeerId, digest_of
from swarmd.gossip import Gossip
from swarmd.network.rules import signer_of
from swarmd.storage import Database

DELIVERIES_MAX = 2_048  # peers, and pulls, that wait to be booked at the next tick; fewer are served in it
SEEN_EVERY_S = 60.0  # between two notes of who is there: a peer counts as gone after three minutes
GOODBYE_COUNTS_S = 7 * 86_400  # a week: whoever has not come back by then should not be waited for in silence


class Encounters:
    """What the exchange sees of other peers, on its way to the home's database."""

    def __init__(
        self, peer_id: PeerId, gossip: Gossip, database: Database, clock: Callable[[], float]
    ) -> None:
        self._peer_id = peer_id
        self._gossip = gossip
        self._database = database
        self._clock = clock
        self._deliveries: Counter[str] = Counter()
        self._bodies: set[tuple[bytes, str]] = set()
        """(digest of the record, who pulled it)."""
        self._seen_at = float("-inf")

    def delivered(self, peer: PeerId, envelope: bytes) -> None:
        """`peer` pulled a record from here. Written down with the next tick: this is called amid a stream."""
        if signer_of(None, envelope) == self._peer_id and len(self._deliveries) < DELIVERIES_MAX:
            self._deliveries[peer] += 1
            if len(self._bodies) < DELIVERIES_MAX:
                self._bodies.add((digest_of(envelope), peer))

    def note(self, connected: Collection[PeerId]) -> None:
        """Write down who pulled from here since the last time and, once a minute, who is there and who left.

        Raises StorageError.
        """
        now = self._clock()
        if self._deliveries:
            delivered, self._deliveries = self._deliveries, Counter()
            bodies, self._bodies = self._bodies, set()
            self._database.partners.pulled(delivered, now=now)
            self._database.answers.pulled(bodies)
        if not self._seen_at <= now < self._seen_at + SEEN_EVERY_S:
            self._seen_at = now
            peers = self._gossip.statistics().peers
            said: dict[str, float] = {
                peer.peer_id: now - peer.age_s for peer in peers if peer.age_s is not None
            }
            self._database.partners.seen(said | dict.fromkeys(connected, now))
            self.note_goodbyes(connected)

    def note_goodbyes(self, connected: Collection[PeerId] = ()) -> None:
        """Write down whose last word was a goodbye. It counts until the peer is seen again, or for a week.

        Only peers that were met are written down: anybody can sign a goodbye. Raises StorageError.
        """
        gossip, facts = self._gossip.statistics(), self._database.facts
        there = {*connected, *(peer.peer_id for peer in gossip.peers if peer.status is not None)}
        now = int(self._clock())
        before = {peer: at for peer, at in counting(facts.goodbyes, now).items() if peer not in there}
        met = {peer.peer_id for peer in self._database.peers.known()}
        facts.set_goodbyes({**before, **{peer: before.get(peer, now) for peer in gossip.left & met}})


def counting(goodbyes: Mapping[str, int], now: float) -> dict[str, int]:
    """Those that are recent enough to explain a silence. Times are unix seconds."""
    return {peer: at for peer, at in goodbyes.items() if now - at < GOODBYE_COUNTS_S}
