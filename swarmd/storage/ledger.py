"""The ledger: what this peer published, pulled, used and rejected, when and why.

It has two parts. Entries are a bounded log of the newest events. Totals and per-publisher counts are kept
separately, and survive both the log's bound and restarts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from swarmd.storage.connection import Connection

ENTRIES_MAX = 20_000
"""Events in the log: several days of a busy peer, a few MiB."""

ENTRIES_SLACK = 256
"""Events above the bound before the log is trimmed. Trimming at every event would double the writes."""

PUBLISHERS_MAX = 1_024
"""Peers with their own counts. Above this, the peers pulled from longest ago are dropped."""

DETAIL_CHARACTERS_MAX = 500
"""Characters of a rejection's detail, which can quote what a stranger sent."""

RECORDS = (
    "SELECT digest, MIN(id) FROM ledger WHERE event IN ('published', 'pulled') AND digest NOT IN"
    " (SELECT digest FROM ledger WHERE event = 'lost') GROUP BY digest ORDER BY MIN(id)"
)
"""Groups in the log whose record should be on disk, oldest first."""

IS_TRIMMED = "SELECT COALESCE(MIN(id), 1) > 1 FROM ledger"
"""Whether the log has dropped entries."""

Event = Literal["own", "published", "pulled", "used", "rejected", "lost"]


@dataclass(frozen=True)
class Counts:
    """Totals since the home was created, in groups."""

    own: int
    published: int
    pulled: int
    external_used: int
    rejected: Mapping[str, int]
    """By reason."""


@dataclass(frozen=True)
class PublisherCounts:
    """What was received from one peer."""

    groups_pulled: int
    reward_mean: float
    """The mean, over its groups, of the mean reward as scored here."""


@dataclass(frozen=True)
class Entry:
    """One event in the log."""

    at: float
    """Unix time in seconds."""
    event: Event
    digest: bytes | None
    peer_id: str | None
    round: int | None
    step: int | None
    reason: str | None
    detail: str | None


class Ledger:
    """Every write is one transaction. A recorded event survives a kill."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def own(self, groups: int) -> None:
        """This peer generated and scored `groups` groups of its own."""
        self._count("own", groups)

    def published(self, digest: bytes, round_: int, step: int, *, now: float) -> None:
        """An own group was published as a record."""
        self._enter("published", now, digest=digest, round_=round_, step=step)

    def pulled(self, digest: bytes, publisher: str, round_: int, *, reward_mean: float, now: float) -> None:
        """A group of `publisher` was verified and scored. Called by `Pool.add`, in its transaction."""
        with self._connection.transaction():
            self._enter("pulled", now, digest=digest, peer_id=publisher, round_=round_)
            self._connection.execute(
                "INSERT INTO publishers VALUES (?, 1, ?, ?) ON CONFLICT (peer_id) DO UPDATE SET"
                " groups_pulled = groups_pulled + 1, reward_sum = reward_sum + excluded.reward_sum,"
                " last_pulled = MAX(last_pulled, excluded.last_pulled)",
                (publisher, reward_mean, now),
            )
            self._connection.execute(
                "DELETE FROM publishers WHERE peer_id IN"
                " (SELECT peer_id FROM publishers ORDER BY last_pulled DESC LIMIT -1 OFFSET ?)",
                (PUBLISHERS_MAX,),
            )

    def used(self, digest: bytes, step: int, *, now: float) -> None:
        """An external group was trained on. Called by `Pool.mark_used`, in its transaction."""
        self._enter("used", now, digest=digest, step=step)

    def rejected(
        self,
        reason: str,
        detail: str = "",
        *,
        now: float,
        digest: bytes | None = None,
        publisher: str | None = None,
    ) -> None:
        """Something from a peer was refused: a `protocol.Reason`, or one of gossip's own (`Drop`)."""
        detail = detail[:DETAIL_CHARACTERS_MAX]
        self._enter("rejected", now, digest=digest, peer_id=publisher, reason=reason, detail=detail)

    def lost(self, digest: bytes, why: str, *, now: float) -> None:
        """The record of an earlier entry is damaged or no longer on disk."""
        self._enter("lost", now, digest=digest, detail=why)

    @property
    def is_trimmed(self) -> bool:
        """Whether the log has dropped entries."""
        [(is_trimmed,)] = self._connection.execute(IS_TRIMMED)
        return bool(is_trimmed)

    def knows(self, digest: bytes) -> bool:
        """Whether the log contains a group published or pulled under this digest."""
        return bool(
            self._connection.execute(
                "SELECT 1 FROM ledger WHERE digest = ? AND event IN ('published', 'pulled') LIMIT 1",
                (digest,),
            )
        )

    def records(self) -> list[bytes]:
        """Return the digests of groups in the log, published or pulled and not lost, oldest first."""
        return [digest for digest, _ in self._connection.execute(RECORDS)]

    def counts(self) -> Counts:
        totals: dict[str, int] = {}
        rejected: dict[str, int] = {}
        for event, reason, n in self._connection.execute(
            "SELECT event, reason, n FROM totals ORDER BY n DESC"
        ):
            if event == "rejected":
                rejected[reason] = n
            else:
                totals[event] = n
        return Counts(
            own=totals.get("own", 0),
            published=totals.get("published", 0),
            pulled=totals.get("pulled", 0),
            external_used=totals.get("used", 0),
            rejected=rejected,
        )

    def by_publisher(self) -> dict[str, PublisherCounts]:
        """Return at most PUBLISHERS_MAX peers, the one pulled from most recently first."""
        rows = self._connection.execute(
            "SELECT peer_id, groups_pulled, reward_sum FROM publishers ORDER BY last_pulled DESC"
        )
        return {peer_id: PublisherCounts(n, reward_sum / n) for peer_id, n, reward_sum in rows}

    def entries(self, limit: int, event: Event | None = None) -> list[Entry]:
        """Return the newest `limit` events, optionally of one kind, newest first."""
        rows = self._connection.execute(
            "SELECT at, event, digest, peer_id, round, step, reason, detail FROM ledger"
            " WHERE ?1 IS NULL OR event = ?1 ORDER BY id DESC LIMIT ?2",
            (event, limit),
        )
        return [Entry(*row) for row in rows]

    def _count(self, event: Event, n: int, reason: str = "") -> None:
        self._connection.execute(
            "INSERT INTO totals VALUES (?, ?, ?)"
            " ON CONFLICT (event, reason) DO UPDATE SET n = n + excluded.n",
            (event, reason, n),
        )

    def _enter(
        self,
        event: Event,
        now: float,
        *,
        digest: bytes | None = None,
        peer_id: str | None = None,
        round_: int | None = None,
        step: int | None = None,
        reason: str | None = None,
        detail: str | None = None,
    ) -> None:
        why = None if reason is None else str(reason)
        with self._connection.transaction():
            self._count(event, 1, why or "")
            self._connection.execute(
                "INSERT INTO ledger (at, event, digest, peer_id, round, step, reason, detail)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (now, event, digest, peer_id, round_, step, why, detail),
            )
            [(newest,)] = self._connection.execute("SELECT MAX(id) FROM ledger")
            if newest % ENTRIES_SLACK == 0:
                self._connection.execute("DELETE FROM ledger WHERE id <= ?", (newest - ENTRIES_MAX,))
