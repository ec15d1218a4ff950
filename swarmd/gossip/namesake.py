"""Does somebody else run with this peer's key? A home that was copied and started twice is found out by both.

Both sign statuses under the same name in the same place, where the newer one stays. So a status of our own
name that we did not sign, and that is younger than this run, is the other's. One that an earlier run of ours
left is older; only a clock that was set back since can make it look younger, and then not for long.
"""

from __future__ import annotations

from collections import deque

from protocol import VerifiedStatus, digest_of

SIGNED_MAX = 64
"""Own statuses remembered: half an hour of them, and the swarm keeps one for two minutes."""

TOLD_S = 600.0
"""So long after the other was last heard of it is still told: it is read in turns with our own."""


PROBLEM = (
    "another swarmd is running with this peer's key: is its home a copy of this one? Stop one of the two; to "
    "have two peers, move identity.key of one away and start that with --new-identity"
)


class NamesakeWatch:
    """Which statuses of our name are ours."""

    def __init__(self) -> None:
        self._signed: deque[bytes] = deque(maxlen=SIGNED_MAX)
        self._began: float | None = None
        self._seen_at: float | None = None

    def signed(self, envelope: bytes, now: float) -> None:
        """We signed this."""
        if self._began is None:
            self._began = now
        self._signed.append(digest_of(envelope))

    def read(self, verified: VerifiedStatus, now: float) -> None:
        """A status of our own name was read."""
        if self._began is None or verified.status.created <= self._began:
            return
        if digest_of(verified.envelope) not in self._signed:
            self._seen_at = now

    def problems(self, now: float) -> tuple[str, ...]:
        """What to tell a person, if another was heard of lately."""
        if self._seen_at is None or abs(now - self._seen_at) >= TOLD_S:
            return ()
        return (PROBLEM,)
