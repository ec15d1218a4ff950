"""What peers did to the transport, and which peers it avoids for a while. Pure.

Points for offences decay over time. A peer with enough points is shunned: the transport neither serves it nor
asks it, for twice as long after every relapse. Only the transport's own experience counts here. Offences are
reported to gossip, which makes its own judgement.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from protocol import PeerId
from swarmd.network.interface import Misbehaviour, Report

POINTS_MAX: dict[Misbehaviour, float] = {
    Misbehaviour.FLOOD: 1.0,
    Misbehaviour.LIES: 8.0,
    Misbehaviour.REFUSES: 16.0,
}
"""Points at which a peer is shunned.

A flood counts only after the peer has exhausted its patience allowance, so one point is enough. A lie is a
malformed message (2 points) or something that was never sound (1 point). Bits do not flip in transit, but the
peer may run a different version. A refusal is a store request full of sound things of which the peer kept
nothing; a newcomer refuses everything until it knows its swarm.
"""

HALF_LIFE_S = 600.0
"""Seconds in which a peer's points halve."""

SHUN_S = 60.0
"""Seconds for which a peer is shunned the first time ..."""

SHUN_S_MAX = 3_600.0
"""... and at most, because software gets fixed."""

PEERS_MAX = 4_096
"""Peers remembered. The peer that offended longest ago is dropped first, shunned peers last."""


@dataclass
class _Record:
    at: float
    points: Counter[Misbehaviour] = field(default_factory=Counter)
    shunned_until: float = 0.0
    shunned_times: int = 0


class Conduct:
    """The offences of all peers."""

    def __init__(self, shun: Callable[[PeerId, Misbehaviour], None]) -> None:
        """`shun`: called when a peer becomes shunned."""
        self._shun: Report = shun
        self._records: OrderedDict[PeerId, _Record] = OrderedDict()

    def is_shunned(self, peer: PeerId, now: float) -> bool:
        record = self._records.get(peer)
        return record is not None and now < record.shunned_until

    def shunned(self, now: float) -> tuple[PeerId, ...]:
        return tuple(peer for peer, record in self._records.items() if now < record.shunned_until)

    def offend(self, peer: PeerId, what: Misbehaviour, points: float, now: float) -> None:
        """Record an offence. Further offences of a peer that is already shunned are ignored."""
        if self.is_shunned(peer, now):
            return
        record = self._records.pop(peer, None) or _Record(now)
        self._records[peer] = record
        fade = 0.5 ** (max(0.0, now - record.at) / HALF_LIFE_S)
        record.points = Counter({one: held * fade for one, held in record.points.items()})
        record.at = now
        record.points[what] += points  # type: ignore[assignment]  # a Counter also holds fractions
        if record.points[what] >= POINTS_MAX[what]:
            record.shunned_until = now + min(SHUN_S * 2.0 ** min(record.shunned_times, 16), SHUN_S_MAX)
            record.shunned_times += 1
            del record.points[what]
            self._shun(peer, what)
        self._bound(now)

    def redeem(self, peer: PeerId, what: Misbehaviour) -> None:
        """Clear the peer's points for `what`, because it did the opposite."""
        record = self._records.get(peer)
        if record is not None:
            del record.points[what]

    def _bound(self, now: float) -> None:
        if len(self._records) > PEERS_MAX:
            free = (peer for peer, record in self._records.items() if now >= record.shunned_until)
            del self._records[next(free, next(iter(self._records)))]
