"""Announcement envelopes as they come from the DHT: each is checked once, however often it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from protocol import Reason, RejectedRecord, VerifiedAnnouncement, digest_of, verify_announcement
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.reading import Topic


class Intake:
    """Verifies what is new, counts what each key holds. Judges nobody: junk names no one reliably."""

    def __init__(self, swarm: bytes, limits: GossipLimits) -> None:
        self._swarm = swarm
        self._limits = limits
        self._known: dict[bytes, Topic | None] = {}
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Envelopes refused, by reason."""
        return dict(self._junk)

    def read(
        self, envelopes: Sequence[bytes], asked: Sequence[Topic], now: float
    ) -> tuple[list[VerifiedAnnouncement], dict[Topic, int]]:
        """The announcements not seen before, and how many live ones each of the `asked` keys holds."""
        new: list[VerifiedAnnouncement] = []
        entries = dict.fromkeys(asked, 0)
        for envelope in envelopes:
            digest = digest_of(envelope)
            if digest not in self._known:
                announced = self._verify(envelope, entries, now)
                if announced is not None:
                    new.append(announced)
                self._note(digest, None if announced is None else _topic(announced))
            known = self._known[digest]
            if known in entries:
                entries[known] += 1
        return new, entries

    def _verify(self, envelope: bytes, asked: Mapping[Topic, int], now: float) -> VerifiedAnnouncement | None:
        try:
            announced = verify_announcement(envelope, now=now, swarm=self._swarm)
        except RejectedRecord as error:
            self._junk[error.reason.value] += 1
            return None
        if _topic(announced) not in asked:  # somebody put it under a key that is not its own
            self._junk[Reason.TOPIC.value] += 1
            return None
        return announced

    def _note(self, digest: bytes, topic: Topic | None) -> None:
        self._known[digest] = topic
        if len(self._known) > self._limits.seen_max:
            del self._known[next(iter(self._known))]


def _topic(announced: VerifiedAnnouncement) -> Topic:
    announcement = announced.announcement
    return Topic(announcement.round, announcement.task_id, announcement.shard)
