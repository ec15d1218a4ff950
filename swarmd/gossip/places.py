"""Divides the places of pulls in flight and of groups being verified among parties. Pure.

A party whose pulls hang, or whose texts take long to score, must not keep others waiting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from protocol import PeerId
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.limits import GossipLimits
from swarmd.network.interface import Standing

STRANGERS_PLACES = 1 / 4  # of the groups in flight, and of those being verified
# of the groups in flight: a publisher without a connection may be gone, and pulls from it hang
AWAY_PLACES = 1 / 2
# of the groups in flight and being verified, so one party's slow scoring does not delay the others
PARTY_PLACES = 1 / 2


class Places:
    """What is taken as of `now`; made anew for each choice."""

    def __init__(
        self,
        limits: GossipLimits,
        contacts: Contacts,
        flying: Sequence[tuple[PeerId, Party]],
        verifying: Sequence[Party],
        strangers_left: int,
        now: float,
    ) -> None:
        """`flying`: the publisher of each group in flight, and the party in whose turn it is pulled.
        `verifying`: the same parties of the groups being verified.

        `strangers_left`: how many strangers can have a turn.
        """
        self._limits = limits
        self._connected = contacts.connections
        self._flying = Counter(peer for peer, _ in flying)
        away = sum(peer not in self._connected for peer, _ in flying)
        self._away_may = away < AWAY_PLACES * limits.pulls_max
        self._flying_parties = Counter(party.name for _, party in flying)
        self._parties = self._flying_parties + Counter(party.name for party in verifying)
        self._shared = contacts.met_lately(now)
        self._strangers_left = strangers_left

    def has_one(self, peer: PeerId, turn_of: Callable[[], Party]) -> bool:
        """Whether there is a place for a pull from the peer. `turn_of` returns the party whose turn it is."""
        if self._flying[peer] >= self._limits.pulls_per_peer:
            return False
        if not self._shared:
            return True
        if not self._away_may and peer not in self._connected:
            return False
        party = turn_of()
        if party.standing <= Standing.STRANGER:
            return self._strangers_may(party)
        return self._parties[party.name] < PARTY_PLACES * self._limits.verifying_max

    def _strangers_may(self, party: Party) -> bool:
        return (
            self._strangers_left > 0
            and self._flying_parties[party.name] < STRANGERS_PLACES * self._limits.pulls_max
            and self._parties[party.name] < STRANGERS_PLACES * self._limits.verifying_max
        )
