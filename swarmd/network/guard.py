"""Who is served, and what is held against whom: the transport's side of standing and report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from swarmd.network.interface import Report, Standing, StandingOf
from swarmd.network.malformed import MessageError
from swarmd.network.peer_ids import read_peer_id


class Guard:
    """See `control.Gate`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._standing_of: StandingOf = lambda _peer: Standing.STRANGER
        self._report: Report = lambda _peer, _what: None
        self.refused: Counter[str] = Counter()

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        self._standing_of, self._report = standing_of, report

    def admits_request(self, peer: bytes, protocol: str, size: int) -> bool:
        return self._standing_of(read_peer_id(peer)) > Standing.BANNED

    def admits_stream(self, peer: bytes, address: bytes) -> bool:
        return self._standing_of(read_peer_id(peer)) > Standing.BANNED

    def noted(self, peer: bytes, error: MessageError) -> None:
        self.refused[f"malformed_{error.reason}"] += 1
