"""Verifies announcement envelopes from the DHT, each only once even if it is read many times."""

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
    """Verifies new envelopes and counts the entries under each key. Judges nobody: junk has no author."""

    def __init__(self, manifest: Manifest, limits: GossipLimits) -> None:
        self._manifest = manifest
        self._limits = limits
        self._known: Kept[bytes, tuple[Topic, PeerId]] = Kept(limits.seen_max)
        self._refused: Kept[bytes, None] = Kept(limits.seen_max)
        self._news = Buckets(1)
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Counts of refused envelopes, by reason."""
        return dict(self._junk)

    def read(
        self,
        envelopes: Sequence[bytes],
        asked: Sequence[Topic],
        now: float,
        is_contact: Callable[[PeerId], bool],
    ) -> tuple[list[VerifiedAnnouncement], dict[Topic, int]]:
        """Return the announcements not seen before, and the load of each of the `asked` keys.

        The load is the number of live entries by contacts, at most `shard_entries_target` for each, because
        all entries of one contact are under the same key, however many shards there are.
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
                    # The wrong key, or an answer that came too late. The announcement itself may be valid.
                    self._junk[Reason.TOPIC.value] += 1
                    continue
                new.append(announced)
                known = _topic(announced), announced.publisher
                self._known.put(digest, known, close=is_contact(announced.publisher))
            topic, publisher = known
            if topic in entries and is_contact(publisher):
                entries[topic][publisher] += 1
        most = self._limits.shard_entries_target
        return new, {topic: sum(min(n, most) for n in counts.values()) for topic, counts in entries.items()}

    def told(self, envelopes: Sequence[bytes], publisher: PeerId, now: float) -> list[VerifiedAnnouncement]:
        """Return the announcements of a publisher, told by itself, that were not seen before."""
        new = []
        for envelope in envelopes:
            digest = digest_of(envelope)
            if digest in self._known or digest in self._refused:
                continue
            announced = self._verify(envelope, now)
            if announced is None:
                self._refused.put(digest, None, close=False)
                continue
            if announced.publisher != publisher:  # it may be valid, and its own publisher may tell it
                self._junk[Reason.TOPIC.value] += 1
                continue
            self._known.put(digest, (_topic(announced), publisher), close=False)
            new.append(announced)
        return new

    def may_take(self, envelope: bytes, now: float) -> bool:
        """Whether to look at an announcement that another peer stored here.

        It must be new and within the rate limit.
        """
        rate = Rate(self._limits.news_per_s, self._limits.news_burst)
        return digest_of(envelope) not in self._known and self._news.take("held", rate, 1.0, now)

    def held(self, envelope: bytes, now: float) -> VerifiedAnnouncement | None:
        """Verify such an announcement; None if it is not valid."""
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
