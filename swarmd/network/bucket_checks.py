"""Decides when a peer in a full bucket of the routing table is asked whether it is still there. Pure.

A bucket that is full keeps its peers as long as they answer (Kademlia, section 2.2): a flood of newcomers
must not displace them. Kademlia asks the peer that was heard longest ago each time that a newcomer finds no
slot. In a swarm of thousands every call meets such a newcomer, and each question opened a connection, which
was half of all connections. A peer that does not answer a request loses its slot anyway, so these questions
only find the dead among peers that are never asked anything else.
"""

from __future__ import annotations

from collections.abc import Callable

from hivemind.dht.routing import DHTID, RoutingTable
from hivemind.p2p import PeerID

PROVEN_S = 300.0
"""Seconds for which an answer proves that a peer deserves its slot."""

CHECK_S = 60.0
"""Seconds between two such questions, each of which opens a connection. A full table of 660 peers takes
eleven hours, less what other calls find out.
"""


class BucketChecks:
    """The questions about one routing table."""

    def __init__(self, table: RoutingTable, monotonic: Callable[[], float]) -> None:
        self._table = table
        self._now = monotonic
        self._asked_at = float("-inf")

    def enter(self, node_id: DHTID, peer: PeerID, silent_s: Callable[[PeerID], float]) -> PeerID | None:
        """Enter a peer into the table. Return the peer to ask whether it is still there, if any.

        `silent_s`: the seconds since a peer last answered.
        """
        oldest = self._table.add_or_update_node(node_id, peer)
        self._bound_replacements(node_id)
        if oldest is None:
            return None
        old_id, old = oldest
        if silent_s(old) < PROVEN_S:
            self._table.add_or_update_node(old_id, old)
            return None
        if self._now() - self._asked_at < CHECK_S:
            bucket = self._table.buckets[self._table.get_bucket_index(old_id)]
            bucket.nodes_requested_for_ping.discard(old_id)
            return None
        self._asked_at = self._now()
        return old

    def _bound_replacements(self, node_id: DHTID) -> None:
        """Keep only the newest peers that found no slot in a full bucket; hivemind keeps them all."""
        bucket = self._table.buckets[self._table.get_bucket_index(node_id)]
        while len(bucket.replacement_nodes) > bucket.size:
            del self._table[next(iter(bucket.replacement_nodes))]
