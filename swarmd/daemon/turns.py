"""Whose group is verified next, and who has had enough of this peer's time. Pure: knows no scorer and no
clock.

Verifying costs CPU, and anybody may send groups that cost a lot of it. Seconds are charged to the publisher
of the group they were spent on, and halve with time: of a good group CPU seconds, for it is not to blame for
a busy machine; of a bad one its share of the time that others waited. Publishers whose last group was good
come first, then those nobody knows, each with the least charged first, so that a flood of names waits behind
the peers that deliver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocol import PeerId, VerifiedRecord

WAITING_MAX = 64  # twice gossip's own bound, which forgets lost verdicts
WAITING_PER_PUBLISHER_MAX = 32  # half of the places; gossip has as many under way for all
SECONDS_MAX = 6.0  # charged: one group at the limits of `FOR_PEERS`, or two that are given up
FREE_S = 1.0  # of an accepted group: a hundred times what one takes
HALF_LIFE_S = 120.0
PUBLISHERS_MAX = 4_096  # remembered; more than take part in a swarm's round


@dataclass
class _Account:
    seconds: float
    at: float
    is_proven: bool


class Accounts:
    """The seconds that each publisher has cost, by a clock that the caller reads."""

    def __init__(self) -> None:
        self._accounts: dict[PeerId, _Account] = {}

    def charge_good(self, publisher: PeerId, cpu_s: float, now: float) -> None:
        """For a group that was accepted. Only what is beyond `FREE_S` counts."""
        self._charge(publisher, max(0.0, cpu_s - FREE_S), now, is_proven=True)

    def charge_bad(self, publisher: PeerId, clock_s: float, now: float) -> None:
        """For one that was refused."""
        self._charge(publisher, clock_s, now, is_proven=False)

    def _charge(self, publisher: PeerId, seconds: float, now: float, *, is_proven: bool) -> None:
        left = self.seconds(publisher, now)
        self._accounts.pop(publisher, None)
        if len(self._accounts) >= PUBLISHERS_MAX:
            self._forget(now)
        self._accounts[publisher] = _Account(left + seconds, now, is_proven)

    def is_overdrawn(self, publisher: PeerId, now: float) -> bool:
        """Whether nothing of this publisher is verified for now."""
        return self.seconds(publisher, now) >= SECONDS_MAX

    def seconds(self, publisher: PeerId, now: float) -> float:
        account = self._accounts.get(publisher)
        return self._left(account, now) if account else 0.0

    def is_proven(self, publisher: PeerId) -> bool:
        account = self._accounts.get(publisher)
        return account is not None and account.is_proven

    def _left(self, account: _Account, now: float) -> float:
        return account.seconds * math.pow(0.5, max(0.0, now - account.at) / HALF_LIFE_S)

    def _forget(self, now: float) -> None:
        """Whoever is most like an unknown one: new names must wipe out neither the good nor the costly."""
        least = min(
            self._accounts, key=lambda p: (self._accounts[p].is_proven, self._left(self._accounts[p], now))
        )
        del self._accounts[least]


class Turns:
    """Records that wait to be verified."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._waiting: list[VerifiedRecord] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def proven_wait(self) -> bool:
        """Whether a group of a proven publisher waits."""
        return any(self._accounts.is_proven(record.publisher) for record in self._waiting)

    def add(self, record: VerifiedRecord, now: float) -> VerifiedRecord | None:
        """Let `record` wait. What had no room is given back: the last in line, or one more of too many."""
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
        """The next up to `count` records. One that is nobody's proven publisher's comes alone, so that what
        it costs is charged to it and nobody waits beside it."""
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
