"""The consequences of a fault: which peer is charged, which is ignored, and what is dropped."""

from __future__ import annotations

from protocol import PeerId, Reason
from swarmd.gossip.candidates import Candidates
from swarmd.gossip.commands import Command, Disconnect, ForgetPeer, StandingChanged
from swarmd.gossip.contacts import Contacts
from swarmd.gossip.outage import Outages
from swarmd.gossip.reputation import FAILURES, UNREACHABLE, Reputation


class Judge:
    """Decides whose fault a failure can be. `Reputation` keeps the points."""

    def __init__(self, reputation: Reputation, contacts: Contacts, candidates: Candidates) -> None:
        self._reputation = reputation
        self._contacts = contacts
        self._candidates = candidates
        self._unreached = Outages()
        self._unscored = Outages()

    def reached(self, peer: PeerId, now: float) -> None:
        """A body of `peer` arrived."""
        self._unreached.worked(self._party(peer, now), now)

    def scored(self, peer: PeerId, now: float) -> None:
        """A body of `peer` was scored, whatever the result."""
        self._unscored.worked(self._party(peer, now), now)

    def unreached(self, peer: PeerId, now: float) -> bool:
        """`peer` cannot be reached. Return whether most parties cannot: then this machine is offline."""
        self._unreached.failed(self._party(peer, now), UNREACHABLE, now)
        return self._unreached.most_fail(UNREACHABLE, now)

    def penalise(self, peer: PeerId, reason: str, now: float) -> list[Command]:
        """Charge `peer` the points for `reason`, unless the fault seems ours. Return the commands."""
        if self._is_ours(peer, reason, now):
            return []
        may_ignore = reason not in FAILURES or self._spares_half(peer, now)
        if not self._reputation.penalise(peer, reason, now, may_ignore=may_ignore):
            return []
        return self.turn_away(peer, reason)

    def turn_away(self, peer: PeerId, reason: str) -> list[Command]:
        """Ignore `peer` from now on, and drop what is pending from it."""
        self._candidates.forget(peer)
        self._contacts.disgraced(peer)
        return [StandingChanged(peer, "ignored", str(reason)), ForgetPeer(peer), Disconnect(peer)]

    def _is_ours(self, peer: PeerId, reason: str, now: float) -> bool:
        """Whether the scorers here are overloaded, so a failure cannot be attributed to the peer."""
        if reason != Reason.SCORER:
            return False
        self._unscored.failed(self._party(peer, now), str(reason), now)
        return self._unscored.all_fail(str(reason), now)

    def _spares_half(self, peer: PeerId, now: float) -> bool:
        """Whether at least half of the contacts would remain if `peer` were ignored too."""
        contacts = set(self._contacts.current(now))
        if peer not in contacts:
            return True
        failed = {i.peer_id for i in self._reputation.ignored(now) if i.reason in FAILURES}
        return 2 * (len(failed) + 1) <= len(contacts | failed)

    def _party(self, peer: PeerId, now: float) -> str:
        return self._contacts.party(peer, now, proved=False).name
