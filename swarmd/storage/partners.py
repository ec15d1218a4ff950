"""What this peer and each other one gave each other: kept for good, and within a bound.

Used and pulled are known: counted here. Claimed is what the other says that it trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarmd.storage.connection import Connection

PARTNERS_MAX = 4_096
"""Peers with counts. Above it, those seen longest ago go first, and those that taught this peer go last:
pulling costs a stranger nothing, and a verified group that was used does."""


@dataclass(frozen=True)
class Partner:
    """One peer. Counts are since this peer began."""

    peer_id: str
    used: int
    """Groups of it that this peer trained on."""
    pulls: int
    """Times that it pulled a record of this peer and said that it had it."""
    claimed: int
    """Groups of this peer that it says it trained on."""
    last_seen: float
    """Unix time in seconds of the newest sign of it."""


class Partners:
    """Bounded; one row for each peer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def used(self, groups: Mapping[str, int], *, now: float) -> None:
        """This peer trained on so many more groups of each publisher."""
        self._add({peer_id: (count, 0) for peer_id, count in groups.items()}, now)

    def pulled(self, records: Mapping[str, int], *, now: float) -> None:
        """Each peer pulled so many more records of this one."""
        self._add({peer_id: (0, count) for peer_id, count in records.items()}, now)

    def claimed(self, peer_id: str, groups: int, *, now: float) -> None:
        """The peer says that it has used so many groups in all."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO partners (peer_id, claimed, last_seen) VALUES (?, ?, ?) ON CONFLICT (peer_id)"
                " DO UPDATE SET claimed = excluded.claimed, last_seen = MAX(last_seen, excluded.last_seen)",
                (peer_id, groups, now),
            )
            self._bound()

    def seen(self, times: Mapping[str, float]) -> None:
        """When each peer was seen, in unix seconds. Only those with counts are remembered."""
        with self._connection.transaction():
            for peer_id, at in times.items():
                self._connection.execute(
                    "UPDATE partners SET last_seen = MAX(last_seen, ?) WHERE peer_id = ?", (at, peer_id)
                )

    def all(self) -> dict[str, Partner]:
        """At most PARTNERS_MAX, the one seen last first."""
        rows = self._connection.execute(
            "SELECT peer_id, used, pulls, claimed, last_seen FROM partners ORDER BY last_seen DESC, peer_id"
        )
        return {row[0]: Partner(*row) for row in rows}

    def groups_used(self) -> dict[str, int]:
        """Publisher -> groups of it that this peer trained on, of the publishers with any."""
        return dict(self._connection.execute("SELECT peer_id, used FROM partners WHERE used > 0"))

    def _add(self, counts: Mapping[str, tuple[int, int]], now: float) -> None:
        """Add to (used, pulls) of each peer."""
        with self._connection.transaction():
            for peer_id, (used, pulls) in counts.items():
                self._connection.execute(
                    "INSERT INTO partners (peer_id, used, pulls, last_seen) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (peer_id) DO UPDATE SET used = used + excluded.used,"
                    " pulls = pulls + excluded.pulls, last_seen = MAX(last_seen, excluded.last_seen)",
                    (peer_id, used, pulls, now),
                )
            self._bound()

    def _bound(self) -> None:
        self._connection.execute(
            "DELETE FROM partners WHERE peer_id IN"
            " (SELECT peer_id FROM partners ORDER BY used > 0 DESC, last_seen DESC LIMIT -1 OFFSET ?)",
            (PARTNERS_MAX,),
        )
