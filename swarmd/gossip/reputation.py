"""Which peers to ignore, why, and for how long. Entries expire on their own and are never shared with other
peers.

Only what a peer signed, failed to deliver or did to the transport counts against it. Junk that anyone could
have written under its name does not count, nor does being unreachable, even for days.

There are two kinds of fault. A lie is always the peer's own fault. Peers that keep lying are ignored, even if
that means all of them. A failure can also be caused by this machine. A peer that fails is ignored only if at
least half of the contacts remain (`Judge` decides).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from protocol import PeerId, Reason
from swarmd.gossip.limits import GossipLimits
from swarmd.network.interface import Misbehaviour

# Why a group was lost, besides every `Reason`:
UNREACHABLE = "pull"
"""The group's publisher cannot be reached."""
ABSENT = "absent"
"""The group's publisher answers, but does not hold it."""
UNINFORMATIVE = "uninformative"
"""All rewards of the group are equal here, although its announcement promised different ones."""
IGNORED = "ignored"
"""The group was in flight when its publisher became ignored."""
PAUSED = "paused"
"""The group could not be scored because this machine slept or was suspended."""
UNJUDGED = "unjudged"
"""The judges here found no difference in the group; another peer's judges may find one."""
OVERDRAWN = "overdrawn"
"""The group was not scored because its publisher used up its share of this machine's time. There is no
further penalty.
"""
NOT_THEIR_FAULT = frozenset(
    {
        Reason.EXPIRED,
        Reason.CLOCK,
        Reason.VERSION,
        Reason.OWN,
        IGNORED,
        PAUSED,
        UNREACHABLE,
        OVERDRAWN,
        UNJUDGED,
    }
)
"""Reasons caused by time, by the network or by this machine, or already charged to the peer."""

PENALTY_FORGED = 1.5  # a lie: a body that fails verification, or a question that is not the task's
PENALTIES: Mapping[str, float] = {
    ABSENT: 0.75,  # it announced a body that it does not hold
    UNINFORMATIVE: 0.75,  # the pass rate promised different rewards, but all were equal here
    Reason.SCORER: 0.5,  # a time-out, more likely on a busy machine; text that hangs the scorer is a lie
    Misbehaviour.FLOOD: 1.0,  # the transport reports only floods that continue
    Misbehaviour.REFUSES: 0.75,
}
"""Points by reason. Every other reason is a lie, except those in NOT_THEIR_FAULT."""
FAILURES = frozenset({ABSENT, UNINFORMATIVE, Reason.SCORER, Misbehaviour.REFUSES})
"""Reasons that can also be caused by this machine."""
PROBATION = 0.9  # of the points at which a peer is ignored: a peer that must not be ignored stays here
CREDIT_INFORMATIVE = 0.25  # a group that teaches something makes up for a little


@dataclass
class _Account:
    points: float
    at: float
    ignored_until: float = 0.0
    ignored_times: int = 0
    ignored_for: str = ""
    ignored: bool = False
    """Ignored, and not yet reported as forgiven."""
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Ignored:
    """A peer that is currently ignored."""

    peer_id: PeerId
    reason: str
    seconds_left: float | None
    """None: until the operator lifts the ban."""


class Reputation:
    """Penalty points per peer, which halve every `penalty_half_life_s`. The operator's word wins."""

    def __init__(
        self, limits: GossipLimits, is_close: Callable[[PeerId, float], bool] = lambda _peer, _now: False
    ) -> None:
        """`is_close`: whose accounts are kept when the table is full. In a daemon these are the contacts."""
        self._limits = limits
        self._is_close = is_close
        self._accounts: dict[PeerId, _Account] = {}
        self._banned: set[PeerId] = set()
        self._trusted: set[PeerId] = set()
        self.lost = Counter[str]()
        """How many times peers lost points, by reason."""

    # The operator's word ---------------------------------------------------------------------------

    def ban(self, peer: PeerId) -> None:
        self._trusted.discard(peer)
        self._banned.add(peer)

    def trust_always(self, peer: PeerId) -> None:
        """Never ignore the peer again, and forgive it if it is ignored now."""
        self._banned.discard(peer)
        self._trusted.add(peer)
        self._accounts.pop(peer, None)

    def forget(self, peer: PeerId) -> None:
        """Revoke the operator's word and all points, so the peer starts from a clean slate."""
        self._banned.discard(peer)
        self._trusted.discard(peer)
        self._accounts.pop(peer, None)

    @property
    def banned(self) -> frozenset[PeerId]:
        return frozenset(self._banned)

    @property
    def trusted(self) -> frozenset[PeerId]:
        return frozenset(self._trusted)

    # Looking up ------------------------------------------------------------------------------------

    def is_ignored(self, peer: PeerId, now: float) -> bool:
        if peer in self._banned:
            return True
        account = self._accounts.get(peer)
        return account is not None and now < account.ignored_until

    def trust(self, peer: PeerId, now: float) -> float:
        """Return a value from 0 (ignored) to 1 (nothing against it)."""
        if self.is_ignored(peer, now):
            return 0.0
        account = self._accounts.get(peer)
        if account is None or peer in self._trusted:
            return 1.0
        return max(0.0, 1 - self._left(account, now) / self._limits.penalty_ignored_at)

    def reasons(self, peer: PeerId) -> Mapping[str, int]:
        """Return how many times the peer lost points, by reason."""
        account = self._accounts.get(peer)
        return {} if account is None else dict(account.reasons)

    def judged(self) -> tuple[PeerId, ...]:
        """Return the peers with an account."""
        return tuple(self._accounts)

    def ignored(self, now: float) -> list[Ignored]:
        """Return the peers ignored now: banned ones first, then by time left, longest first."""
        found = [
            Ignored(peer, account.ignored_for, account.ignored_until - now)
            for peer, account in self._accounts.items()
            if now < account.ignored_until and peer not in self._banned
        ]
        found.sort(key=lambda ignored: -(ignored.seconds_left or 0))
        return [Ignored(peer, "banned", None) for peer in sorted(self._banned)] + found

    def forgiven(self, now: float) -> list[PeerId]:
        """Return the peers that stopped being ignored since the last call. A banned one did not."""
        over = [
            p for p, account in self._accounts.items() if account.ignored and now >= account.ignored_until
        ]
        for peer in over:
            self._accounts[peer].ignored = False
        return [peer for peer in over if peer not in self._banned]

    # Events ----------------------------------------------------------------------------------------

    def penalise(self, peer: PeerId, reason: str, now: float, *, may_ignore: bool = True) -> bool:
        """Charge the peer the points for `reason`. Return True if it is ignored from now on.

        Groups that were in flight when a peer became ignored are not charged.
        """
        if reason in NOT_THEIR_FAULT or self.is_ignored(peer, now):
            return False
        account = self._decayed(peer, now)
        account.reasons[str(reason)] += 1
        self.lost[str(reason)] += 1
        account.points += PENALTIES.get(reason, PENALTY_FORGED)
        most = self._limits.penalty_ignored_at
        if account.points < most:
            return False
        if peer in self._trusted or not may_ignore:
            account.points = most * PROBATION
            return False
        seconds = self._limits.ignore_s * 2.0 ** min(account.ignored_times, 16)
        account.ignored_until = now + min(seconds, self._limits.ignore_s_max)
        account.ignored_times += 1
        account.ignored_for, account.ignored = str(reason), True
        account.points /= 2  # the peer returns on probation
        return True

    def credit(self, peer: PeerId, now: float) -> None:
        """The peer delivered something useful."""
        if peer in self._accounts:
            account = self._decayed(peer, now)
            account.points = max(0.0, account.points - CREDIT_INFORMATIVE)

    # -----------------------------------------------------------------------------------------------

    def _left(self, account: _Account, now: float) -> float:
        elapsed = max(0.0, now - account.at)
        return account.points * math.pow(0.5, elapsed / self._limits.penalty_half_life_s)

    def _decayed(self, peer: PeerId, now: float) -> _Account:
        account = self._accounts.get(peer)
        if account is None:
            self._make_room(now)
            account = self._accounts[peer] = _Account(0.0, now)
        account.points, account.at = self._left(account, now), now
        return account

    def _make_room(self, now: float) -> None:
        """Drop the account closest to a blank one; a crowd of identities must not displace ignored peers."""
        if len(self._accounts) >= self._limits.peers_judged_max:
            least = min(
                self._accounts,
                key=lambda p: (self.is_ignored(p, now), self._is_close(p, now), self._accounts[p].points),
            )
            del self._accounts[least]
