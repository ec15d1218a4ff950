"""What one peer's groups did for another: measured here of others' groups, and claimed by others of ours.

Groups of people and of policies are counted apart. What a credit means is in `swarmd/step/credit.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.storage.connection import Connection

CREDITS_MAX = 4_096
"""Rows. Above it, those seen longest ago go first, and those measured here go last: a claim costs nothing."""


@dataclass(frozen=True)
class CreditRow:
    """One peer, and whether these are groups of people. Gains are nats per group, as a mean."""

    peer_id: str
    people: bool
    groups: int
    """Its groups that were measured here."""
    gain: float
    """What they did here; 0 without any."""
    claimed_groups: int
    """Our groups that it says it measured."""
    claimed_gain: float
    """What it says that they did there."""


class Credits:
    """Bounded."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def measured(self, gains: Sequence[tuple[str, bool, float]], *, now: float) -> None:
        """(publisher, whether of people, nats) of each group that was measured."""
        with self._connection.transaction():
            for peer_id, people, gain in gains:
                self._connection.execute(
                    "INSERT INTO credits (peer_id, people, groups, gain, last_seen) VALUES (?, ?, 1, ?, ?)"
                    " ON CONFLICT (peer_id, people) DO UPDATE SET groups = groups + 1,"
                    " gain = gain + excluded.gain, last_seen = MAX(last_seen, excluded.last_seen)",
                    (peer_id, people, gain, now),
                )
            self._bound()

    def claimed(self, peer_id: str, *, people: bool, groups: int, gain_milli: int, now: float) -> None:
        """What the peer says that it measured of ours in all. It replaces what it said before."""
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO credits (peer_id, people, claimed_groups, claimed_gain_milli, last_seen)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (peer_id, people) DO UPDATE SET"
                " claimed_groups = excluded.claimed_groups, claimed_gain_milli = excluded.claimed_gain_milli,"
                " last_seen = MAX(last_seen, excluded.last_seen)",
                (peer_id, people, groups, gain_milli, now),
            )
            self._bound()

    def all(self) -> list[CreditRow]:
        """The one with the most groups measured here first."""
        rows = self._connection.execute(
            "SELECT peer_id, people, groups, gain, claimed_groups, claimed_gain_milli FROM credits"
            " ORDER BY groups DESC, claimed_groups DESC, peer_id, people"
        )
        return [
            CreditRow(peer_id, bool(people), groups, gain / groups if groups else 0.0, claimed, milli / 1000)
            for peer_id, people, groups, gain, claimed, milli in rows
        ]

    def _bound(self) -> None:
        self._connection.execute(
            "DELETE FROM credits WHERE rowid IN"
            " (SELECT rowid FROM credits ORDER BY groups > 0 DESC, last_seen DESC LIMIT -1 OFFSET ?)",
            (CREDITS_MAX,),
        )
