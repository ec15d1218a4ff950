"""Detects another running peer with this peer's key. If a home was copied and both are started, both notice.

Both sign statuses with the same id for the same slot, and the newer status stays there. A status under our id
that we did not sign and that is newer than this run therefore comes from the other peer. A status left by an
earlier run of ours is older. It looks newer only if the clock has been set back since, and then not for long.
"""

from __future__ import annotations

from collections import deque

from protocol import VerifiedStatus, digest_of

SIGNED_MAX = 64
"""Own statuses remembered: half an hour of them, while the swarm keeps one for two minutes."""

TOLD_S = 600.0
"""Seconds for which the other peer is reported after it was last seen. Its statuses and ours are read
alternately.
"""


PROBLEM = (
    "another swarmd is running with this peer's key: is its home a copy of this one? Stop one of the two. To "
    "have two peers, move one's identity.key away and start it with --new-identity"
)


class NamesakeWatch:
    """Distinguishes our own statuses from others under our id."""

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
        """Process a status under our id that was read from the DHT."""
        if self._began is None or verified.status.created <= self._began:
            return
        if digest_of(verified.envelope) not in self._signed:
            self._seen_at = now

    def problems(self, now: float) -> tuple[str, ...]:
        """Return the problem to show the operator if another peer with our key was seen recently."""
        if self._seen_at is None or abs(now - self._seen_at) >= TOLD_S:
            return ()
        return (PROBLEM,)
