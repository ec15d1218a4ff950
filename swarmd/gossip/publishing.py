"""Turns own groups into signed records and announcements. Those of recent rounds can be announced again.

Uninformative groups are not published, because equal rewards teach nobody. If all completions are entirely
right, the offer decides.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from protocol import (
    RECORD_LIFETIME_S_MAX,
    Announcement,
    AnyRecord,
    Completion,
    Episode,
    InvalidLocal,
    KeyPair,
    Manifest,
    Record,
    RejectedRecord,
    TurnsRecord,
    digest_of,
    outside_of_names,
    shard_of,
    sign_announcement,
    sign_record,
    verify_record,
)
from protocol.limits import ANNOUNCED_MODEL_BYTES_MAX, MICRO, MILLI, MODEL_BYTES_MAX
from swarmd.gossip.commands import (
    Announce,
    Command,
    NotPublished,
    StoreBlob,
    StoreBody,
    TellAnnouncement,
    Unpublished,
)
from swarmd.gossip.events import GroupOffer
from swarmd.gossip.limits import GossipLimits


@dataclass(frozen=True)
class _Announced:
    envelope: bytes
    expires: int
    due: float
    """Unix seconds before which it is not announced in the DHT."""


class Publisher:
    """Signs, counts and batches. Callers decide the shard count and the budget of a round."""

    def __init__(self, key: KeyPair, manifest: Manifest, limits: GossipLimits, *, dialable: bool) -> None:
        self._key = key
        self._manifest = manifest
        self._swarm = manifest.swarm_id
        self._limits = limits
        self.dialable = dialable
        """Whether other peers can pull bodies from here; if not, the DHT holds them."""
        self._round = -1
        self._this_round = 0
        self._last_round = 0
        self._waiting: list[_Announced] = []
        self._offered: list[_Announced] = []
        self._offered_at = 0.0
        self._tries = 0
        # Everything that has not expired: as many rounds as a record lives.
        rounds = (
            limits.record_lifetime_rounds + int(limits.record_lifetime_s_min // manifest.round_seconds) + 1
        )
        self._recent: deque[_Announced] = deque(maxlen=min(4_096, manifest.records_per_round_max * rounds))
        self.published = 0
        self.announced = 0
        self._unpublished: Counter[str] = Counter()
        self.last_invalid = ""

    @property
    def unpublished(self) -> Mapping[str, int]:
        """Own groups not published, by reason (`Unpublished`)."""
        return dict(self._unpublished)

    @property
    def next_due(self) -> float:
        """Unix time from which something is to be announced; infinite if nothing waits."""
        return math.inf if self._offered else min((a.due for a in self._waiting), default=math.inf)

    @property
    def per_round(self) -> int:
        """Records published per round: the maximum of this round and the last."""
        return max(self._this_round, self._last_round)

    def start_round(self, round_: int) -> None:
        if round_ != self._round:
            self._last_round = self._this_round if round_ == self._round + 1 else 0
            self._round, self._this_round = round_, 0

    def publish(
        self, group: GroupOffer, shards: int, budget: int, now: float, wait_s: float = 0.0
    ) -> list[Command]:
        """Sign `group` if it teaches and the round's `budget` allows. It is announced at the first tick after
        `wait_s`; peers that ask for this peer's announcements are told at once. The first command is a
        `StoreBlob`, or `NotPublished` alone.
        """
        refusal = self._refusal(group, budget)
        if refusal is not None:
            return self._unpublish(refusal)
        try:
            record = self._record(group, now)
            envelope = sign_record(self._key, record)
            # other peers refuse what we would refuse
            verify_record(envelope, manifest=self._manifest, now=now)
            announcement = self._announce(record, envelope, shards, now + wait_s)
        except (InvalidLocal, RejectedRecord) as error:
            self.last_invalid = str(error)
            return self._unpublish(Unpublished.INVALID, self.last_invalid)
        self.published += 1
        self._this_round += 1
        self._waiting.append(announcement)
        while self._recent and self._recent[0].expires <= now:
            self._recent.popleft()
        self._recent.append(announcement)
        commands: list[Command] = [StoreBlob(digest_of(envelope), envelope)]
        if not self.dialable:
            commands.append(StoreBody(envelope))
        if wait_s > 0:
            commands.append(TellAnnouncement(announcement.envelope))
        return commands

    def batch(self, now: float) -> Announce | None:
        """Return the next batch, newest first: one per tick, no larger than a receiver accepts."""
        if self._offered:
            if now - self._offered_at < self._limits.announce_answer_s:
                return None
            self.answered(0)
        self._offered_at = now
        live = [a for a in self._waiting if a.expires > now]
        due = [a for a in live if a.due <= now]
        most = self._limits.announce_batch_max
        self._offered, self._waiting = due[-most:], [*due[:-most], *(a for a in live if a.due > now)]
        return Announce(tuple(a.envelope for a in self._offered)) if self._offered else None

    def answered(self, stored: int) -> None:
        """Retry a batch if some of it was not stored, because the network does not say which part."""
        self.announced += stored
        self._tries += 1
        if stored < len(self._offered) and self._tries < self._limits.announce_tries:
            self._waiting += self._offered
        else:
            self._tries = 0
        self._offered = []

    def announce_again(self, now: float) -> None:
        """Queue again every announcement that has not expired, because its holders may be gone."""
        self._offered = []
        self._tries = 0
        self._waiting = [a for a in self._recent if a.expires > now]

    def _unpublish(self, reason: Unpublished, detail: str = "") -> list[Command]:
        self._unpublished[reason.value] += 1
        return [NotPublished(reason, detail)]

    def _refusal(self, group: GroupOffer, budget: int) -> Unpublished | None:
        rewards = {c.reward_micro for c in group.completions}
        if len(rewards) < 2 and not (group.even_all_right and rewards == {MICRO}):
            return Unpublished.UNINFORMATIVE
        if self._round < 0:
            return Unpublished.BEFORE_GENESIS
        return Unpublished.ROUND_BUDGET if self._this_round >= budget else None

    def _record(self, group: GroupOffer, now: float) -> AnyRecord:
        lifetime = max(
            self._limits.record_lifetime_s_min,
            self._limits.record_lifetime_rounds * self._manifest.round_seconds,
        )
        created = int(now)
        kind = Record if isinstance(group.completions[0], Completion) else TurnsRecord
        return kind(
            swarm=self._swarm,
            round=self._round,
            step=group.step,
            created=created,
            expires=created + int(min(lifetime, RECORD_LIFETIME_S_MAX)),
            task=group.task,
            question_digest=group.question_digest,
            completions=cast(Any, group.completions),
            temperature_milli=group.temperature_milli,
            model=fit(group.model, MODEL_BYTES_MAX),
            tokenizer=group.tokenizer,
        )

    def _announce(self, record: AnyRecord, envelope: bytes, shards: int, due: float) -> _Announced:
        task_id = record.task.task_id
        announcement = Announcement(
            swarm=record.swarm,
            round=record.round,
            task_id=task_id,
            shard=shard_of(self._key.peer_id, task_id, shards),
            digest=digest_of(envelope),
            size=len(envelope),
            pass_rate_milli=pass_rate_milli(record.completions),
            model=fit(record.model, ANNOUNCED_MODEL_BYTES_MAX),
            tokenizer=record.tokenizer,
            expires=min(record.expires, self._manifest.announced_until(record.round) - 1),
        )
        return _Announced(sign_announcement(self._key, announcement), announcement.expires, due)


def fit(text: str, bytes_max: int) -> str:
    """Turn `text` into a valid name of at most `bytes_max` UTF-8 bytes. A model's name can be any directory's
    path.

    Accents that a path stores as separate characters are combined with their letters. Characters not allowed
    in names become `_`.
    """
    joined = unicodedata.normalize("NFC", text)
    shown = "".join("_" if outside_of_names(character) else character for character in joined)
    return shown.strip().encode()[:bytes_max].decode(errors="ignore").rstrip() or "_"


def pass_rate_milli(completions: tuple[Completion, ...] | tuple[Episode, ...]) -> int:
    """Return the mean reward in thousandths, but never 0 or 1000: earlier versions take either for a group
    that teaches nothing.
    """
    mean_micro = sum(c.reward_micro for c in completions) / len(completions)
    return min(MILLI - 1, max(1, round(mean_micro * MILLI / MICRO)))
