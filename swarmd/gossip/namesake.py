"""Is another peer running with this peer's key? If a home was copied and started twice, both peers notice.

Both sign statuses under the same name in the same place, and the newer one stays there. So a status under our
name that we did not sign, and that is newer than this run, is the other peer's. A status that an earlier run
of ours left is older. It looks newer only if the clock was set back since, and then not for long.
"""

from __future__ import annotations

from collections import deque

from protocol import VerifiedStatus, digest_of

SIGNED_MAX = 64
"""Own statuses remembered: half an hour of them, and the swarm keeps one for two minutes."""

TOLD_S = 600.0
"""Seconds for which the other peer is still reported after it was last seen: its status and ours are read in
turns."""


PROBLEM = (
    "another swarmd is running with this peer's key: is its home a copy of this one? Stop one of the two; to "
    "have two peers, move identity.key of one away and start that with --new-identity"
)


class NamesakeWatch:
    """Tells our own statuses from others under our name."""

    def __init__(self) -> None:
        self._signed: deque[bytes] = deque(maxlen=SIGNED_MAX)
        self._began: float | None = None
        self._seen_at: float | None = None

    def signed(self, envelope: bytes, now: float) -> None:
        """Remember a status that we signed."""
        if self._began is None:
            self._began = now
        self._signed.append(digest_of(envelope))

    def read(self, verified: VerifiedStatus, now: float) -> None:
        """Take a status under our name that was read."""
        if self._began is None or verified.status.created <= self._began:
            return
        if digest_of(verified.envelope) not in self._signed:
            self._seen_at = now

    def problems(self, now: float) -> tuple[str, ...]:
        """What to tell the operator if another peer with our key was seen recently."""
        if self._seen_at is None or abs(now - self._seen_at) >= TOLD_S:
            return ()
        return (PROBLEM,)
