"""Announcement envelopes as they come from the DHT: each is checked once, however often it is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from protocol import (
    Manifest,
    PeerId,
    Reason,
    RejectedRecord,
    VerifiedAnnouncement,
    digest_of,
    verify_announcement,
)
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.reading import Topic


class Intake:
    """Verifies what is new, counts what each key holds. Judges nobody: junk names no one reliably."""

    def __init__(self, manifest: Manifest, limits: GossipLimits) -> None:
        self._manifest = manifest
        self._limits = limits
        self._known: dict[bytes, tuple[Topic, PeerId] | None] = {}
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Envelopes refused, by reason."""
        return dict(self._junk)

    def read(
        self, envelopes: Sequence[bytes], asked: Sequence[Topic], now: float
    ) -> tuple[list[VerifiedAnnouncement], dict[Topic, int]]:
        """The announcements not seen before, and the load of each of the `asked` keys.

        A load counts live entries, but of one publisher no more than `shard_entries_target`: his all go to
        one key, however many shards there are.
        """
        new: list[VerifiedAnnouncement] = []
        entries: dict[Topic, Counter[PeerId]] = {topic: Counter() for topic in asked}
        for envelope in envelopes:
            digest = digest_of(envelope)
            if digest not in self._known:
                announced = self._verify(envelope, now)
                if announced is not None and _topic(announced) not in entries:
                    self._junk[Reason.TOPIC.value] += 1  # not its own key, or an answer that comes too late:
                    continue  # the announcement itself may be sound
                if announced is not None:
                    new.append(announced)
                self._note(digest, None if announced is None else (_topic(announced), announced.publisher))
            known = self._known[digest]
            if known is not None and known[0] in entries:
                entries[known[0]][known[1]] += 1
        most = self._limits.shard_entries_target
        return new, {topic: sum(min(n, most) for n in counts.values()) for topic, counts in entries.items()}

    def _verify(self, envelope: bytes, now: float) -> VerifiedAnnouncement | None:
        try:
            return verify_announcement(envelope, manifest=self._manifest, now=now)
        except RejectedRecord as error:
            self._junk[error.reason.value] += 1
            return None

    def _note(self, digest: bytes, what: tuple[Topic, PeerId] | None) -> None:
        self._known[digest] = what
        if len(self._known) > self._limits.seen_max:
            del self._known[next(iter(self._known))]


def _topic(announced: VerifiedAnnouncement) -> Topic:
    announcement = announced.announcement
    return Topic(announcement.round, announcement.task_id, announcement.shard)
