"""The life of an external group here: candidate, in flight, verifying, accepted or dropped.

A pair (publisher, digest) is taken once. It is the pair and not the digest, so that nobody can spoil
another's record by announcing its digest in his own name.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

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
from swarmd.gossip.candidates import Candidate, Candidates
from swarmd.gossip.events import Command, Drop, Pull, Verify
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.reputation import (
    PENALTY_FORGED,
    PENALTY_MISLED,
    PENALTY_UNLUCKY,
    Reputation,
)

_K = TypeVar("_K")
_V = TypeVar("_V")

FAILED_PULL = "pull"
UNINFORMATIVE = "uninformative"
NOT_THEIR_FAULT = frozenset({Reason.EXPIRED, Reason.CLOCK, Reason.VERSION, Reason.OWN})
"""Reasons that lie in time, in our own sandbox or in our own version of a task source."""


@dataclass(frozen=True)
class _InFlight:
    candidate: Candidate
    since: float


@dataclass(frozen=True)
class _Verifying:
    publisher: PeerId
    since: float


class Puller:
    """Paced by `allowance`; judged by `reputation`; every table bounded by `limits`."""

    def __init__(
        self,
        own: PeerId,
        manifest: Manifest,
        limits: GossipLimits,
        reputation: Reputation,
        rng: random.Random,
    ) -> None:
        self._own = own
        self._manifest = manifest
        self._limits = limits
        self._reputation = reputation
        self.allowance = Allowance(limits)
        self.candidates = Candidates(limits, rng)
        self._in_flight: dict[bytes, _InFlight] = {}
        self._verifying: dict[bytes, _Verifying] = {}
        self._task_ids = frozenset(task.task_id for task in manifest.tasks)
        self._seen: dict[tuple[PeerId, bytes], None] = {}
        self._offered: dict[tuple[PeerId, int], int] = {}
        self.pulled = 0
        self.accepted = 0
        self._rejected: Counter[str] = Counter()
        self._pulled_from: dict[PeerId, int] = {}

    @property
    def rejected(self) -> Mapping[str, int]:
        """Groups lost after they were chosen, by reason."""
        return dict(self._rejected)

    @property
    def in_flight(self) -> int:
        return len(self._in_flight)

    @property
    def verifying(self) -> int:
        return len(self._verifying)

    def pulled_from(self, peer: PeerId) -> int:
        """Bodies that came from `peer` and verified."""
        return self._pulled_from.get(peer, 0)

    def offer(self, announced: VerifiedAnnouncement, now: float) -> bool:
        """Keep an announcement as a candidate; False if it is not worth a pull or known already."""
        peer, announcement = announced.publisher, announced.announcement
        pair = (peer, announcement.digest)
        worth = (
            peer != self._own
            and 0 < announcement.pass_rate_milli < 1000
            and pair not in self._seen
            and not self._reputation.is_ignored(peer, now)
            and announcement.task_id in self._task_ids
            and self._within_round_limit(peer, announcement.round)
        )
        if worth:
            _remember(self._seen, pair, None, self._limits.seen_max)
            self.candidates.add(Candidate(announced))
        return worth

    def missing(self, publishers: int, now: float) -> int:
        """How many more candidates would be welcome, where there are about `publishers` others.

        A publisher's count for no more than its share: a flood by one must not end the search for others.
        """
        self.allowance.refill(now)
        wanted = self.allowance.candidates_wanted()
        share = max(self._limits.pull_share_max, 1 / max(1, publishers))
        return wanted - self.candidates.count(math.ceil(wanted * share))

    def pulls(self, now: float) -> list[Pull]:
        """As many pulls as the trainer's pace, the places in flight and the backlog of the sandbox allow."""
        self._forget_unanswered(now)
        self.allowance.refill(now)
        pulls: list[Pull] = []
        while (
            len(self._in_flight) < self._limits.pulls_max
            and len(self._in_flight) + len(self._verifying) < self._limits.verifying_max
            and self.allowance.ready
        ):
            busy = {*self._in_flight, *self._verifying}
            candidate = self.candidates.take(now, lambda p: self._may_pull_from(p, now), busy)
            if candidate is None:
                break
            self.allowance.spend()
            announcement = candidate.announced.announcement
            self._in_flight[announcement.digest] = _InFlight(candidate, now)
            pulls.append(Pull(candidate.announced.publisher, announcement.digest, announcement.size))
        return pulls

    # Answers ---------------------------------------------------------------------------------------

    def arrived(self, digest: bytes, envelope: bytes, now: float) -> list[Command]:
        flight = self._in_flight.pop(digest, None)
        if flight is None:
            return []
        publisher = flight.candidate.announced.publisher
        try:
            record = verify_record(
                envelope, manifest=self._manifest, now=now, digest=digest, publisher=publisher
            )
            _require_as_announced(record, flight.candidate.announced)
        except RejectedRecord as error:
            return [self._drop(digest, publisher, error.reason, _penalty(error.reason), now)]
        self.pulled += 1
        self._count_pulled(publisher)
        self._verifying[digest] = _Verifying(publisher, now)
        return [Verify(record)]

    def failed(self, digest: bytes, now: float) -> list[Command]:
        flight = self._in_flight.pop(digest, None)
        if flight is None:
            return []
        candidate = flight.candidate
        publisher = candidate.announced.publisher
        candidate.tries += 1
        if candidate.tries < self._limits.pull_tries:
            candidate.not_before = now + self._limits.pull_retry_s
            self.candidates.add(candidate)
            return []
        return [self._drop(digest, publisher, FAILED_PULL, PENALTY_UNLUCKY, now)]

    def scored(self, digest: bytes, *, informative: bool, now: float) -> list[Command]:
        verifying = self._verifying.pop(digest, None)
        if verifying is None:
            return []
        if not informative:
            return [self._drop(digest, verifying.publisher, UNINFORMATIVE, PENALTY_MISLED, now)]
        self.accepted += 1
        self._reputation.credit(verifying.publisher, now)
        return []

    def refused(self, digest: bytes, reason: str, now: float) -> list[Command]:
        verifying = self._verifying.pop(digest, None)
        if verifying is None:
            return []
        return [self._drop(digest, verifying.publisher, reason, _penalty(reason), now)]

    # -----------------------------------------------------------------------------------------------

    def _may_pull_from(self, peer: PeerId, now: float) -> bool:
        flying = sum(f.candidate.announced.publisher == peer for f in self._in_flight.values())
        return flying < self._limits.pulls_per_peer and not self._reputation.is_ignored(peer, now)

    def _drop(self, digest: bytes, publisher: PeerId, reason: str, penalty: float, now: float) -> Drop:
        self._rejected[str(reason)] += 1
        if penalty and self._reputation.penalise(publisher, penalty, now):
            self.candidates.forget(publisher)
        return Drop(digest, str(reason), publisher)

    def _within_round_limit(self, peer: PeerId, round_: int) -> bool:
        """What a publisher announces beyond the manifest's limit in one round is ignored."""
        offered = self._offered.get((peer, round_), 0)
        if offered >= self._manifest.records_per_round_max:
            return False
        _remember(self._offered, (peer, round_), offered + 1, self._limits.seen_max)
        return True

    def _count_pulled(self, publisher: PeerId) -> None:
        count = self._pulled_from.pop(publisher, 0)
        _remember(self._pulled_from, publisher, count + 1, self._limits.peers_max)

    def _forget_unanswered(self, now: float) -> None:
        limits = self._limits
        self._in_flight = {d: f for d, f in self._in_flight.items() if now - f.since < limits.pull_answer_s}
        self._verifying = {d: v for d, v in self._verifying.items() if now - v.since < limits.verify_answer_s}


def _remember(table: dict[_K, _V], key: _K, value: _V, size_max: int) -> None:
    """Write into a bounded table; the entry written first is forgotten first."""
    table[key] = value
    if len(table) > size_max:
        del table[next(iter(table))]


def _penalty(reason: str) -> float:
    if reason == Reason.SCORER:
        return PENALTY_UNLUCKY
    return 0.0 if reason in NOT_THEIR_FAULT else PENALTY_FORGED


def _require_as_announced(verified: VerifiedRecord, announced: VerifiedAnnouncement) -> None:
    """The announcement was about this record. Raises RejectedRecord."""
    record, announcement = verified.record, announced.announcement
    if (record.round, record.task.task_id) != (announcement.round, announcement.task_id):
        raise RejectedRecord(Reason.TOPIC, "announced under another round or task than its own")
    if len(verified.envelope) != announcement.size:
        raise RejectedRecord(Reason.SIZE, "announced with another size than its own")
