"""Record which peers this one meets: who pulled from here, who is present, and who left in good order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from protocol import PeerId, digest_of
from swarmd.gossip import Gossip
from swarmd.network.rules import signer_of
from swarmd.storage import Database

DELIVERIES_MAX = 2_048  # pulls waiting to be written at the next tick; fewer are served between two ticks
SEEN_EVERY_S = 60.0  # how often presence is written down: a peer counts as gone after three minutes
GOODBYE_COUNTS_S = 7 * 86_400  # a week: a peer away for longer is reported as missing again
GOODBYES_MAX = 1_024  # as many as peers are known; the newest are kept, and all are read at each status


class Encounters:
    """Collects what the exchange sees of other peers until it is written to the home's database."""

    def __init__(
        self, peer_id: PeerId, gossip: Gossip, database: Database, clock: Callable[[], float]
    ) -> None:
        self._peer_id = peer_id
        self._gossip = gossip
        self._database = database
        self._clock = clock
        self._deliveries: Counter[str] = Counter()
        self._bodies: set[tuple[bytes, str]] = set()
        """(digest of the record, peer that pulled it)."""
        self._seen_at = float("-inf")

    def delivered(self, peer: PeerId, envelope: bytes) -> None:
        """Note that `peer` pulled a record from here. Called in the middle of a stream, so it is written at
        the next tick.
        """
        if signer_of(None, envelope) == self._peer_id and len(self._deliveries) < DELIVERIES_MAX:
            self._deliveries[peer] += 1
            if len(self._bodies) < DELIVERIES_MAX:
                self._bodies.add((digest_of(envelope), peer))

    def note(self, connected: Collection[PeerId]) -> None:
        """Write down which peers pulled from here since the last call and, once a minute, which are present
        or have left.

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
        """Write down the peers whose last status was a goodbye. It counts until the peer is seen again, or
        for a week.

        Only peers that were met are recorded, because anybody can sign a goodbye. Raises StorageError.
        """
        gossip, facts = self._gossip.statistics(), self._database.facts
        there = {*connected, *(peer.peer_id for peer in gossip.peers if peer.status is not None)}
        now = int(self._clock())
        before = {peer: at for peer, at in counting(facts.goodbyes, now).items() if peer not in there}
        met = {peer.peer_id for peer in self._database.peers.known()}
        after = before | {peer: before.get(peer, now) for peer in gossip.left & met}
        newest = sorted(after, key=lambda peer: after[peer], reverse=True)[:GOODBYES_MAX]
        facts.set_goodbyes({peer: after[peer] for peer in newest})


def counting(goodbyes: Mapping[str, int], now: float) -> dict[str, int]:
    """Return the goodbyes recent enough to explain a silence. Times are unix seconds."""
    return {peer: at for peer, at in goodbyes.items() if now - at < GOODBYE_COUNTS_S}
