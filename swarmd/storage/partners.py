"""What this peer and each other peer gave each other. Kept permanently, within a bound.

`used` and `pulls` are known, because they were counted here. `claimed` is what the other peer says it trained
on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from swarmd.storage.connection import Connection

PARTNERS_MAX = 4_096
"""Peers with counts. Above this, those seen longest ago are dropped first, and those that taught this peer
last: pulling is free for a stranger, but having a verified group used is not.
"""


@dataclass(frozen=True)
class Partner:
    """The counts for one peer, since this peer began."""

    peer_id: str
    used: int
    """Groups of the other peer that this one trained on."""
    pulls: int
    """Times that the other peer pulled a record from this one and confirmed it."""
    claimed: int
    """Groups of this peer that the other one claims to have trained on."""
    last_seen: float
    """Unix time in seconds of its latest sign of life."""


class Partners:
    """A bounded table with one row per peer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def used(self, groups: Mapping[str, int], *, now: float) -> None:
        """This peer trained on this many more groups of each publisher."""
        self._add({peer_id: (count, 0) for peer_id, count in groups.items()}, now)

    def pulled(self, records: Mapping[str, int], *, now: float) -> None:
        """Each peer pulled this many more records from this one."""
        self._add({peer_id: (0, count) for peer_id, count in records.items()}, now)

    def claimed(self, peer_id: str, groups: int, *, now: float) -> None:
        """The peer claims to have used this many groups in total."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO partners (peer_id, claimed, last_seen) VALUES (?, ?, ?) ON CONFLICT (peer_id)"
                " DO UPDATE SET claimed = excluded.claimed, last_seen = MAX(last_seen, excluded.last_seen)",
                (peer_id, groups, now),
            )
            self._bound()

    def seen(self, times: Mapping[str, float]) -> None:
        """Update when each peer was seen, in Unix seconds. Peers without counts are ignored."""
        with self._connection.transaction():
            for peer_id, at in times.items():
                self._connection.execute(
                    "UPDATE partners SET last_seen = MAX(last_seen, ?) WHERE peer_id = ?", (at, peer_id)
                )

    def all(self) -> dict[str, Partner]:
        """Return at most PARTNERS_MAX peers, most recently seen first."""
        rows = self._connection.execute(
            "SELECT peer_id, used, pulls, claimed, last_seen FROM partners ORDER BY last_seen DESC, peer_id"
        )
        return {row[0]: Partner(*row) for row in rows}

    def groups_used(self) -> dict[str, int]:
        """Return publisher -> number of its groups that this peer trained on, for publishers with any."""
        return dict(self._connection.execute("SELECT peer_id, used FROM partners WHERE used > 0"))

    def _add(self, counts: Mapping[str, tuple[int, int]], now: float) -> None:
        """Add to the (used, pulls) counts of each peer."""
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
