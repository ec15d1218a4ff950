"""Announcement envelopes as they come from the DHT: each is checked once, however often it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from protocol import (
    Manifest,
    PeerId,
    Reason,
    RejectedRecord,
    VerifiedAnnouncement,
    digest_of,
    verify_announcement,
)
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.reading import Topic
from swarmd.network.rates import Buckets, Rate


class Intake:
    """Verifies what is new and counts what each key holds. It judges nobody: junk proves no author."""

    def __init__(self, manifest: Manifest, limits: GossipLimits) -> None:
        self._manifest = manifest
        self._limits = limits
        self._known: Kept[bytes, tuple[Topic, PeerId]] = Kept(limits.seen_max)
        self._refused: Kept[bytes, None] = Kept(limits.seen_max)
        self._news = Buckets(1)
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Envelopes refused, by reason."""
        return dict(self._junk)

    def read(
        self,
        envelopes: Sequence[bytes],
        asked: Sequence[Topic],
        now: float,
        is_contact: Callable[[PeerId], bool],
    ) -> tuple[list[VerifiedAnnouncement], dict[Topic, int]]:
        """The announcements not seen before, and the load of each of the `asked` keys.

        A load counts live entries of contacts, at most `shard_entries_target` of each: all entries of one
        contact go to one key, however many shards there are.
        """
        new: list[VerifiedAnnouncement] = []
        entries: dict[Topic, Counter[PeerId]] = {topic: Counter() for topic in asked}
        for envelope in envelopes:
            digest = digest_of(envelope)
            if digest in self._refused:
                continue
            known = self._known.get(digest)
            if known is None:
                announced = self._verify(envelope, now)
                if announced is None:
                    self._refused.put(digest, None, close=False)
                    continue
                if _topic(announced) not in entries:
                    self._junk[Reason.TOPIC.value] += 1  # not its own key, or an answer that comes too late:
                    continue  # the announcement itself may be sound
                new.append(announced)
                known = _topic(announced), announced.publisher
                self._known.put(digest, known, close=is_contact(announced.publisher))
            topic, publisher = known
            if topic in entries and is_contact(publisher):
                entries[topic][publisher] += 1
        most = self._limits.shard_entries_target
        return new, {topic: sum(min(n, most) for n in counts.values()) for topic, counts in entries.items()}

    def may_take(self, envelope: bytes, now: float) -> bool:
        """Whether an announcement that somebody had this peer hold is to be looked at.

        It is new, and not one of a flood.
        """
        rate = Rate(self._limits.news_per_s, self._limits.news_burst)
        return digest_of(envelope) not in self._known and self._news.take("held", rate, 1.0, now)

    def held(self, envelope: bytes, now: float) -> VerifiedAnnouncement | None:
        """The same announcement, verified; None if it is not sound."""
        announced = self._verify(envelope, now)
        if announced is not None:
            known = _topic(announced), announced.publisher
            self._known.put(digest_of(envelope), known, close=False)
        return announced

    def _verify(self, envelope: bytes, now: float) -> VerifiedAnnouncement | None:
        try:
            return verify_announcement(envelope, manifest=self._manifest, now=now)
        except RejectedRecord as error:
            self._junk[error.reason.value] += 1
            return None


def _topic(announced: VerifiedAnnouncement) -> Topic:
    announcement = announced.announcement
    return Topic(announcement.round, announcement.task_id, announcement.shard)
