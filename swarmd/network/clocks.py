"""Compares this machine's clock with the clocks of peers that answer its pings. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container

from protocol import CLOCK_SKEW_S_MAX, PeerId
from swarmd.network.newest import put_newest

SKEW_TOLD_S = 5.0
"""Seconds by which most clocks must differ from this one before it is reported. NTP stays within a hundredth
of a second.
"""

KEPT_S = 300.0
"""Seconds for which a measurement counts. A clock that was corrected is trusted again after this time."""

PEERS_MAX = 64
"""Measurements remembered, newest first."""

STRANGERS_MIN = 3
"""Peers that must have answered if none of them was dialled at a known address, as identities are free."""


class Clocks:
    """How many seconds other clocks are ahead of this one."""

    def __init__(self) -> None:
        self._skews: OrderedDict[PeerId, tuple[float, float]] = OrderedDict()

    def observe(self, peer: PeerId, skew: float, now: float) -> None:
        put_newest(self._skews, peer, (skew, now), PEERS_MAX)

    def offset(self, reached: Container[PeerId], now: float) -> float | None:
        """Return how many seconds most clocks are ahead of this one, or None if too few agree.

        `reached`: peers with a door. If any of them answered, only they count.
        """
        fresh = {peer: skew for peer, (skew, at) in self._skews.items() if now - at < KEPT_S}
        counted = [skew for peer, skew in fresh.items() if peer in reached]
        if not counted and len(fresh) >= STRANGERS_MIN:
            counted = list(fresh.values())
        for sign in (1, -1):
            off = sorted(skew for skew in counted if sign * skew > SKEW_TOLD_S)
            if 2 * len(off) > len(counted):
                return off[len(off) // 2]
        return None


_WRONG = "this machine's clock is"


def clock_problem(offset: float, peers: str) -> str:
    """Describe the problem and its remedy for the operator. `peers`: whose clocks were compared."""
    way = "behind" if offset > 0 else "ahead of"
    return (
        f"{_WRONG} {abs(offset):.0f} s {way} {peers}; beyond {CLOCK_SKEW_S_MAX} s peers "
        "refuse what it signs: set the clock (timedatectl set-ntp true, or ntpdate)"
    )


def concerns_clock(problem: str) -> bool:
    """Whether a problem is one that `clock_problem` describes."""
    return problem.startswith(_WRONG)
