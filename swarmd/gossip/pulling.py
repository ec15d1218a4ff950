"""The life of an external group on this peer: candidate, in flight, verifying, accepted or dropped.

Each (publisher, digest) pair is accepted once. It is the pair that counts, not the digest alone: otherwise a
peer could spoil another's record by announcing its digest under its own name.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from protocol import (
    Manifest,
    PeerId,
    Reason,
    RejectedRecord,
    VerifiedAnnouncement,
    VerifiedRecord,
    verify_record,
)
from swarmd.gossip.allowance import Allowance
from swarmd.gossip.back_offs import BackOff, BackOffs
from swarmd.gossip.candidates import Candidate, Candidates
from swarmd.gossip.commands import Command, Drop, Pull, RememberAcquaintance, StandingChanged, Verify
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.judging import Judge
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.places import Places
from swarmd.gossip.reputation import ABSENT, OVERDRAWN, PAUSED, UNINFORMATIVE, UNREACHABLE, Reputation
from swarmd.gossip.turns import StrangersShare
from swarmd.gossip.visits import Visits
from swarmd.network.interface import PullFailure, Standing, Way

STRANGERS_PULLS_PER_S = 0.1  # so that newcomers are heard even if the met peers deliver little
STRANGERS_ASKED = 8  # strangers over which the share that proved real is averaged
SPREAD = 1 / 2  # of the candidates wanted can come from one party if there are several


@dataclass(frozen=True)
class _InFlight:
    candidate: Candidate
    since: float
    party: Party
    """The party in whose turn it is pulled."""


@dataclass(frozen=True)
class _Verifying:
    publisher: PeerId
    since: float
    party: Party
    way: Way
    address: str | None
    told: bool
    paused: bool = False
    """This machine slept or was suspended while the verdict was pending."""


class Puller:
    """Paced by `allowance`, judged by `reputation`, shared out by party; all tables bounded by `limits`."""

    def __init__(
        self,
        own: PeerId,
        manifest: Manifest,
        limits: GossipLimits,
        reputation: Reputation,
        contacts: Contacts,
        rng: random.Random,
    ) -> None:
        self._own = own
        self._manifest = manifest
        self._limits = limits
        self._reputation = reputation
        self._contacts = contacts
        self.allowance = Allowance(limits)
        self.candidates = Candidates(limits, rng)
        self.judge = Judge(reputation, contacts, self.candidates)
        self.visits = Visits(limits, contacts)
        self._strangers = StrangersShare(STRANGERS_PULLS_PER_S)
        self._strangers_prove = 1.0
        self._in_flight: dict[bytes, _InFlight] = {}
        self._verifying: dict[bytes, _Verifying] = {}
        self._task_ids = frozenset(task.task_id for task in manifest.tasks)
        self._seen: Kept[tuple[PeerId, bytes], None] = Kept(limits.seen_max)
        self._offered: Kept[tuple[PeerId, int], int] = Kept(limits.seen_max)
        self._back_offs = BackOffs(limits)
        self._overdrawn = BackOffs(limits)
        self.pulled = 0
        self.accepted = 0
        self._rejected: Counter[str] = Counter()
        self._pulled_from: Kept[PeerId, int] = Kept(limits.peers_max)

    @property
    def rejected(self) -> Mapping[str, int]:
        """Counts of groups lost after they were chosen, by reason."""
        return dict(self._rejected)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def verifying(self) -> int:
        return len(self._verifying)

    def pulled_from(self, peer: PeerId) -> int:
        """Return the number of bodies from `peer` that were verified."""
        return self._pulled_from.get(peer) or 0

    def offer_all(self, announced: Sequence[VerifiedAnnouncement], now: float, *, told: bool = False) -> int:
        """Keep announcements as candidates. Return how many are new and worth a pull.

        While other peers deliver, strangers' announcements count only if most strangers pulled from recently
        proved real. Otherwise a crowd of strangers that do not exist would end the search for other groups.

        `told`: their publisher told them on request.
        """
        kept = [found for found in announced if self.offer(found, now, told=told)]
        self.candidates.trim(lambda peer: self._party(peer, now))
        if self._strangers_count(now):
            return len(kept)
        return sum(self._party(found.publisher, now).standing > Standing.STRANGER for found in kept)

    def offer(self, announced: VerifiedAnnouncement, now: float, *, told: bool = False) -> bool:
        """Keep one announcement. Return False if it is known already or not worth a pull."""
        peer, announcement = announced.publisher, announced.announcement
        pair = (peer, announcement.digest)
        worth = (
            peer != self._own
            and 0 < announcement.pass_rate_milli < 1000
            and pair not in self._seen
            and not self._reputation.is_ignored(peer, now)
            and announcement.task_id in self._task_ids
            and self._within_round_limit(peer, announcement.round, now)
        )
        if worth:
            self._seen.put(pair, None, close=self._contacts.is_contact(peer, now))
            self.candidates.add(Candidate(announced, told))
        return worth

    def missing(self, publishers: int, now: float, *, part: float = 1.0) -> int:
        """Return how many more candidates are wanted, with about `publishers` other peers.

        `part`: the part of the candidates wanted that is searched for, in the same proportions.

        A publisher's candidates count only up to its share, and so do a party's, so that a flood by one
        publisher, or under many names, does not end the search for others. Candidates of publishers in
        back-off do not count, because nothing can be pulled from them now.
        """
        self.allowance.refill(now)
        wanted = math.ceil(self.allowance.candidates_wanted() * part)
        share = max(self._limits.pull_share_max, 1 / max(1, publishers))
        counts = self.candidates.count(
            math.ceil(wanted * share),
            lambda peer: self._party(peer, now),
            lambda peer: not self._back_offs.holds(peer, now),
        )
        strangers = sum(n for party, n in counts.items() if party.standing <= Standing.STRANGER)
        others = [n for party, n in counts.items() if party.standing > Standing.STRANGER]
        most = math.ceil(wanted * SPREAD) if self._contacts.parties(now) > 1 else wanted
        have = sum(min(n, most) for n in others)
        return wanted - have - (strangers if self._strangers_count(now) else 0)

    def pulls(self, now: float) -> list[Pull]:
        """Return as many pulls as the trainer's pace, the slots in flight and the sandbox's backlog allow."""
        self._forget_unanswered(now)
        self.allowance.refill(now)
        pulls: list[Pull] = []
        while (
            len(self._in_flight) < self._limits.pulls_max
            and len(self._in_flight) + len(self._verifying) < self._limits.verifying_max
            and self.allowance.ready
        ):
            busy = {*self._in_flight, *self._verifying}
            candidate = self.candidates.take(
                now,
                self._allowed_now(now),
                busy,
                lambda peer: self._party(peer, now),
                lambda peer: self.visits.drawn_as(peer, now),
            )
            if candidate is None:
                break
            self.allowance.spend()
            publisher, announcement = candidate.announced.publisher, candidate.announced.announcement
            party = self._turn_of(publisher, now)
            self.visits.pulled(publisher, party, now)
            self._strangers.took(is_held_back=party.standing <= Standing.STRANGER)
            self._in_flight[announcement.digest] = _InFlight(candidate, now, party)
            pulls.append(Pull(publisher, announcement.digest, announcement.size))
        return pulls

    # Outages ---------------------------------------------------------------------------------------

    def back(self, peers: Collection[PeerId]) -> None:
        """These peers can be reached again."""
        for peer in peers:
            self._back_offs.end(peer)
        self.candidates.retry(peers)

    def all_back(self) -> None:
        """This machine could reach nobody, and now it can."""
        self._back_offs.end_all()
        self.candidates.retry_all()

    def paused(self) -> None:
        """Time has passed during which nothing could be scored here."""
        self._verifying = {digest: replace(v, paused=True) for digest, v in self._verifying.items()}

    # Answers ---------------------------------------------------------------------------------------

    def arrived(
        self, digest: bytes, envelope: bytes, now: float, way: Way = Way.DIRECT, address: str | None = None
    ) -> list[Command]:
        flight = self._in_flight.pop(digest, None)
        if flight is None:
            return []
        publisher = flight.candidate.announced.publisher
        self.judge.reached(publisher, now)
        self._back_offs.end(publisher)
        try:
            record = verify_record(
                envelope, manifest=self._manifest, now=now, digest=digest, publisher=publisher
            )
            _require_as_announced(record, flight.candidate.announced)
        except RejectedRecord as error:
            self.allowance.refund()
            self._note_stranger(flight.party, proved=False)
            return self._drop(digest, publisher, error.reason, now)
        self.pulled += 1
        close = self._contacts.is_contact(publisher, now)
        self._pulled_from.put(publisher, self.pulled_from(publisher) + 1, close=close)
        self._verifying[digest] = _Verifying(
            publisher, now, flight.party, way, address, flight.candidate.told
        )
        return [Verify(record)]

    def failed(self, digest: bytes, kind: PullFailure, now: float) -> list[Command]:
        flight = self._in_flight.pop(digest, None)
        if flight is None:
            return []
        candidate = flight.candidate
        if kind is not PullFailure.LOCAL:
            self.allowance.refund()
        publisher = candidate.announced.publisher
        if kind not in (PullFailure.LOCAL, PullFailure.BUSY):
            self._note_stranger(flight.party, proved=False)
        match kind:
            case PullFailure.WRONG:
                return self._drop(digest, publisher, Reason.DIGEST, now)
            case PullFailure.ABSENT:
                self._back_off(publisher, now)
                return self._drop(digest, publisher, ABSENT, now)
            case PullFailure.UNREACHABLE:
                candidate.tries += 1
                return self._unreachable(candidate, now)
            case PullFailure.BUSY | PullFailure.LOCAL:  # not its fault, so retry until the group expires
                if kind is PullFailure.BUSY:
                    self._back_off(publisher, now, again=False)
                self._later(candidate, now)
                return []

    def scored(self, digest: bytes, *, informative: bool, now: float) -> list[Command]:
        verifying = self._verifying.pop(digest, None)
        if verifying is None:
            return []
        publisher = verifying.publisher
        self.judge.scored(publisher, now)
        self._note_stranger(verifying.party, proved=informative and verifying.way is not Way.INLINE)
        if not informative:
            return self._drop(digest, publisher, UNINFORMATIVE, now)
        self.accepted += 1
        self._overdrawn.end(publisher)
        self._reputation.credit(publisher, now)
        return self._delivered(verifying, now)

    def refused(self, digest: bytes, reason: str, now: float) -> list[Command]:
        verifying = self._verifying.pop(digest, None)
        if verifying is None:
            return []
        if verifying.paused and reason == Reason.SCORER:
            reason = PAUSED
        self.allowance.refund()
        if reason == OVERDRAWN:
            close = self._contacts.is_contact(verifying.publisher, now)
            self._overdrawn.begin(verifying.publisher, now, again=True, close=close)
        self._note_stranger(verifying.party, proved=False)
        return self._drop(digest, verifying.publisher, reason, now)

    def _note_stranger(self, party: Party, *, proved: bool) -> None:
        """Note how a pull from a stranger ended.

        A stranger that delivers over its own connection is no longer one.
        """
        if party.standing > Standing.STRANGER:
            return
        self._strangers_prove += (proved - self._strangers_prove) / STRANGERS_ASKED
        if proved:
            self._strangers.proved()

    def _strangers_count(self, now: float) -> bool:
        """Whether strangers' candidates count as much as others'."""
        return not self._contacts.met_lately(now) or self._strangers_prove >= 1 / 2

    def _delivered(self, verifying: _Verifying, now: float) -> list[Command]:
        peer, contacts = verifying.publisher, self._contacts
        known_before = contacts.is_known(peer, now)
        commands: list[Command] = [
            RememberAcquaintance(
                contacts.delivered(peer, verifying.way, verifying.address, now, told=verifying.told)
            )
        ]
        if contacts.is_known(peer, now) and not known_before:
            commands.append(StandingChanged(peer, "known", "taught for a long time"))
        return commands

    def _unreachable(self, candidate: Candidate, now: float) -> list[Command]:
        """Retry after a pause. Pulls that fail together count as a single failure, and not as a fault."""
        publisher = candidate.announced.publisher
        if not self._back_offs.holds(publisher, now):
            ours = self.judge.unreached(publisher, now)
            back_off = self._back_off(publisher, now, again=not ours)
            if back_off.times > 1 and not ours:
                self._contacts.lost(publisher)
        if candidate.tries < self._limits.pull_tries:
            if not self._reputation.is_ignored(publisher, now):
                self._later(candidate, now)
            return []
        digest = candidate.announced.announcement.digest
        self._rejected[UNREACHABLE] += 1
        return [Drop(digest, UNREACHABLE, publisher)]

    def _later(self, candidate: Candidate, now: float) -> None:
        candidate.not_before = now + self._limits.pull_retry_s
        self.candidates.add(candidate)
        self.candidates.trim(lambda peer: self._party(peer, now))

    def _back_off(self, peer: PeerId, now: float, *, again: bool = True) -> BackOff:
        return self._back_offs.begin(peer, now, again=again, close=self._contacts.is_contact(peer, now))

    # -----------------------------------------------------------------------------------------------

    def _turn_of(self, peer: PeerId, now: float) -> Party:
        """Return the party whose turn a pull from the peer is: for a visit, that as which it was drawn."""
        return self.visits.drawn_as(peer, now) or self._party(peer, now)

    def _party(self, peer: PeerId, now: float) -> Party:
        return self._contacts.party(peer, now, proved=False)

    def _allowed_now(self, now: float) -> Callable[[PeerId], bool]:
        """Return a predicate: whether a peer can be pulled from, given what is in flight and verifying."""
        flying = [(each.candidate.announced.publisher, each.party) for each in self._in_flight.values()]
        verifying = [each.party for each in self._verifying.values()]
        left = self._strangers.left(now)
        places = Places(self._limits, self._contacts, flying, verifying, left, now)

        def allowed(peer: PeerId) -> bool:
            return (
                not self._reputation.is_ignored(peer, now)
                and not self._back_offs.holds(peer, now)
                and not self._overdrawn.holds(peer, now)
                and places.has_one(peer, lambda: self._turn_of(peer, now))
            )

        return allowed

    def _drop(self, digest: bytes, publisher: PeerId, reason: str, now: float) -> list[Command]:
        self._rejected[str(reason)] += 1
        return [Drop(digest, str(reason), publisher), *self.judge.penalise(publisher, reason, now)]

    def _within_round_limit(self, peer: PeerId, round_: int, now: float) -> bool:
        """False for announcements beyond the manifest's limit per publisher and round."""
        offered = self._offered.get((peer, round_)) or 0
        if offered >= self._manifest.records_per_round_max:
            return False
        self._offered.put((peer, round_), offered + 1, close=self._contacts.is_contact(peer, now))
        return True

    def _forget_unanswered(self, now: float) -> None:
        limits = self._limits
        self._in_flight = {d: f for d, f in self._in_flight.items() if now - f.since < limits.pull_answer_s}
        self._verifying = {d: v for d, v in self._verifying.items() if now - v.since < limits.verify_answer_s}


def _require_as_announced(verified: VerifiedRecord, announced: VerifiedAnnouncement) -> None:
    """Check that the announcement is about this record. Raises RejectedRecord."""
    record, announcement = verified.record, announced.announcement
    if (record.round, record.task.task_id) != (announcement.round, announcement.task_id):
        raise RejectedRecord(Reason.TOPIC, "announced under a round or task that is not its own")
    if len(verified.envelope) != announcement.size:
        raise RejectedRecord(Reason.SIZE, "announced with a size that is not its own")
