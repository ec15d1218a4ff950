"""Whose group is verified next. Pure: knows no scorer and no clock.

Publishers whose last group was good come first, then unknown ones. Within each kind, the ones that have cost
the least verification time come first. A flood of new peer ids therefore waits behind the peers that deliver.
"""

from __future__ import annotations

from protocol import VerifiedRecord
from swarmd.step.accounts import Accounts

WAITING_MAX = 64  # twice gossip's own bound, since gossip forgets lost verdicts
WAITING_PER_PUBLISHER_MAX = 32  # half the queue; gossip has as many in flight for all publishers together


class Turns:
    """Records waiting for verification."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._waiting: list[VerifiedRecord] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def proven_wait(self) -> bool:
        """Whether a group of a proven publisher is waiting."""
        return any(self._accounts.is_proven(record.publisher) for record in self._waiting)

    def add(self, record: VerifiedRecord, now: float) -> VerifiedRecord | None:
        """Queue `record`. Returns the record that no longer fits: the last in line, or a publisher's excess
        one.
        """
        if (
            sum(waiting.publisher == record.publisher for waiting in self._waiting)
            >= WAITING_PER_PUBLISHER_MAX
        ):
            return record
        self._waiting.append(record)
        if len(self._waiting) <= WAITING_MAX:
            return None
        last = self._ordered(now)[-1]
        self._waiting.remove(last)
        return last

    def take(self, count: int, now: float) -> list[VerifiedRecord]:
        """Return the next records, at most `count`. A record of an unproven publisher comes alone, so that
        its publisher is charged for exactly its cost and no other record waits with it.
        """
        first = self._ordered(now)[:count]
        proven = [record for record in first if self._accounts.is_proven(record.publisher)]
        taken = proven or first[:1]
        for record in taken:
            self._waiting.remove(record)
        return taken

    def _ordered(self, now: float) -> list[VerifiedRecord]:
        accounts = self._accounts
        return sorted(
            self._waiting,
            key=lambda record: (
                not accounts.is_proven(record.publisher),
                accounts.seconds(record.publisher, now),
            ),
        )
