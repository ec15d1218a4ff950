"""Tracks how much verification time each publisher has cost, and which publishers have used up their share.

Verification costs CPU time, and any peer can send groups that cost a lot of it. Seconds are charged to the
group's publisher and decay with a half-life. An accepted group is charged its CPU seconds, because a busy
machine is not its publisher's fault. A refused group is charged the wall-clock time for which other groups
waited.

Pure: it knows no scorer and no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocol import PeerId

SECONDS_MAX = 6.0  # charged: one group at the limits of `FOR_PEERS`, or two that were abandoned
FREE_S = 1.0  # per accepted group: a hundred times what one takes
HALF_LIFE_S = 120.0
PUBLISHERS_MAX = 4_096  # remembered; more than take part in one round of a swarm


@dataclass
class _Account:
    seconds: float
    at: float
    is_proven: bool


class Accounts:
    """The seconds charged to each publisher, by a clock that the caller reads."""

    def __init__(self) -> None:
        self._accounts: dict[PeerId, _Account] = {}

    def charge_good(self, publisher: PeerId, cpu_s: float, now: float) -> None:
        """Charge for an accepted group. Only the time above `FREE_S` counts."""
        self._charge(publisher, max(0.0, cpu_s - FREE_S), now, is_proven=True)

    def charge_bad(self, publisher: PeerId, clock_s: float, now: float) -> None:
        """Charge for a refused group."""
        self._charge(publisher, clock_s, now, is_proven=False)

    def _charge(self, publisher: PeerId, seconds: float, now: float, *, is_proven: bool) -> None:
        left = self.seconds(publisher, now)
        self._accounts.pop(publisher, None)
        if len(self._accounts) >= PUBLISHERS_MAX:
            self._forget(now)
        self._accounts[publisher] = _Account(left + seconds, now, is_proven)

    def is_overdrawn(self, publisher: PeerId, now: float) -> bool:
        """Whether this publisher's groups are currently not verified."""
        return self.seconds(publisher, now) >= SECONDS_MAX

    def seconds(self, publisher: PeerId, now: float) -> float:
        """The seconds still charged to this publisher at `now`."""
        account = self._accounts.get(publisher)
        return self._left(account, now) if account else 0.0

    def is_proven(self, publisher: PeerId) -> bool:
        """Whether its last group was accepted."""
        account = self._accounts.get(publisher)
        return account is not None and account.is_proven

    def _left(self, account: _Account, now: float) -> float:
        return account.seconds * math.pow(0.5, max(0.0, now - account.at) / HALF_LIFE_S)

    def _forget(self, now: float) -> None:
        """Drop the account most like that of an unknown publisher, so that new names displace neither proven
        nor costly publishers."""
        least = min(
            self._accounts, key=lambda p: (self._accounts[p].is_proven, self._left(self._accounts[p], now))
        )
        del self._accounts[least]
