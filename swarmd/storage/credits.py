"""The effect of groups across peers: measured here for other peers' groups, and claimed by others for ours.

Groups by people and by policies are counted separately. `swarmd/step/credit.py` defines what a credit means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.storage.connection import Connection

CREDITS_MAX = 4_096
"""Rows. Above this, the ones seen longest ago are dropped first, and those measured here last, because
claims are free.
"""


@dataclass(frozen=True)
class CreditRow:
    """The effect of one peer's groups, by people or by policies. Gains are mean nats per group."""

    peer_id: str
    people: bool
    groups: int
    """Its groups that were measured here."""
    gain: float
    """Their measured effect; 0 if there are none."""
    claimed_groups: int
    """Our groups that it claims to have measured."""
    claimed_gain: float
    """The effect that it claims to have measured."""


class Credits:
    """A bounded table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def measured(self, gains: Sequence[tuple[str, bool, float]], *, now: float) -> None:
        """Add (publisher, whether by people, nats) for each group that was measured."""
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
        """Store the peer's claim about all our groups, replacing its earlier one."""
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
        """Return all rows, most groups measured here first."""
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
