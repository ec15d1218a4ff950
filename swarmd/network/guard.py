"""Decides which peers are served and records their offences: the I/O shell around `rates.py` and
`conduct.py`.

The guard checks every request and stream before anything is decoded, so a refusal costs microseconds. A
banned or shunned peer is also disconnected, each time it reconnects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from protocol import PeerId, Reason
from swarmd.names import named
from swarmd.network.address_groups import UNKNOWN, group_of_address, group_of_ip
from swarmd.network.binary_addresses import ip_of
from swarmd.network.conduct import Conduct
from swarmd.network.hearing import Hearing
from swarmd.network.interface import Misbehaviour, Report, Standing, StandingOf
from swarmd.network.malformed import MessageError
from swarmd.network.peer_ids import read_peer_id
from swarmd.network.rates import Admission, Buckets, Kind, Rate, Rates
from swarmd.network.shares import Source

log = structlog.get_logger(__name__)

MALFORMED_POINTS = 2.0
"""Points for a malformed message, in the units of `conduct.POINTS_MAX`."""

STORE_COST_BYTES = 256
STORE_COST_MAX = 64.0
"""A store message costs one token per STORE_COST_BYTES, but no more than its 64 signatures."""

STORE_COST_TURNS = 10
"""Turns in a body that cost one token more, because they take as long to read as a signature: 0.4 ms. A body
can have 1,024.
"""

FIND_COST_BYTES = 24
"""Bytes of one key in a find request."""

FOUND_COST_BYTES = 32_768
"""Bytes of an answer that cost as much as one more key: a full shard of announcements. A full shard of the
longest statuses costs eight.
"""

HANG_UPS_OF_ONE = Rate(1.0, 2.0)
HANG_UPS = Rate(10.0, 20.0)
"""Disconnections per second. Each costs p2pd and this process 1 ms, and the peer a handshake."""

SAID = Rate(0.1, 10.0)
"""Warnings per second about shunned peers, so that thousands of names cannot fill the log."""

HANG_UPS_WAITING_MAX = 64
"""Peers waiting to be disconnected. A peer that does not fit is caught at its next request."""

GROUPS_MAX = 4_096
"""Peers whose address group is remembered after they leave, because requests about them can still follow."""

NAMED_MAX = 3
"""Peers named in a problem shown to the operator."""

JUNK_REASONS = frozenset(
    {
        Reason.SIZE,
        Reason.ENVELOPE,
        Reason.KEY,
        Reason.SIGNATURE,
        Reason.PAYLOAD_TYPE,
        Reason.ENCODING,
        Reason.NOT_CANONICAL,
        Reason.SCHEMA,
        Reason.TOPIC,
    }
)
"""Reasons that mean something was never sound. Others depend on time, swarm or manifest."""


class Guard:
    """Implements `control.Gate` for incoming requests; other methods report on our own requests."""

    def __init__(
        self, monotonic: Callable[[], float], delivered: Callable[[PeerId], int] = lambda _peer: 0
    ) -> None:
        """`delivered`: the number of bodies that a peer has delivered over its own connection."""
        self._now = monotonic
        self._delivered = delivered
        self._standing_of: StandingOf = lambda _peer: Standing.STRANGER
        self._report: Report = lambda _peer, _what: None
        self._rates = Rates()
        self._hang_ups = Buckets()
        self._conduct = Conduct(self._shun)
        self.hearing = Hearing(monotonic)
        self._flooding: dict[PeerId, None] = {}
        self._groups: dict[PeerId, str] = {}
        self.refused: Counter[str] = Counter()
        """Counts of refusals, by reason."""
        self.to_disconnect: asyncio.Queue[PeerId] = asyncio.Queue(HANG_UPS_WAITING_MAX)
        self.strangers_met = asyncio.Event()
        """Set when a peer whose address is not yet known makes a request."""

    def judge_by(self, standing_of: StandingOf, report: Report) -> None:
        self._standing_of, self._report = standing_of, report

    def located(self, connections: Mapping[PeerId, str]) -> None:
        """Update the addresses of connected peers."""
        for peer, address in connections.items():
            self._locate(peer, group_of_address(address))
            if self.shuns(peer):
                self._hang_up(peer)

    @property
    def problems(self) -> tuple[str, ...]:
        """Problems to show the operator: ongoing floods."""
        now = self._now()
        flooding = [peer for peer in self._flooding if self._conduct.is_shunned(peer, now)]
        self._flooding = dict.fromkeys(flooding)
        if not flooding:
            return ()
        others = f" and {len(flooding) - NAMED_MAX} more" if len(flooding) > NAMED_MAX else ""
        return (
            f"flooded by {', '.join(map(named, flooding[:NAMED_MAX]))}{others}: refused and "
            "disconnected; no action needed, unless one of your own peers sends too fast",
        )

    def standing(self, peer: PeerId) -> Standing:
        return self._standing_of(peer)

    # Requests from peers -----------------------------------------------------------------------------

    def admits_request(self, peer: bytes, protocol: str, size: int) -> bool:
        kind, cost = _PRICES[protocol](size)
        name = read_peer_id(peer)
        if kind is Kind.PING:
            self.hearing.greeted(name)
        return self._admits(name, None, kind, cost)

    def admits_stream(self, peer: bytes, address: bytes) -> bool:
        return self._admits(read_peer_id(peer), group_of_ip(ip_of(address)), Kind.STREAM, 1.0)

    def _admits(self, peer: PeerId, group: str | None, kind: Kind, cost: float) -> bool:
        now = self._now()
        standing = self._standing_of(peer)
        if standing <= Standing.BANNED or self._conduct.is_shunned(peer, now):
            self.refused["banned" if standing <= Standing.BANNED else "shunned"] += 1
            self._hang_up(peer)
            return False
        self.hearing.asked(peer)
        if group is not None and group != UNKNOWN:
            self._locate(peer, group)
        group = self.group(peer)
        if group == UNKNOWN:
            self.strangers_met.set()
        admission = self._rates.admit(peer, group, kind, cost, standing, now)
        if admission is not Admission.YES:
            self.refused[f"{kind}_{admission}"] += 1
        if admission is Admission.FLOOD:
            self._conduct.offend(peer, Misbehaviour.FLOOD, 1.0, now)
        return admission is Admission.YES

    def answered(self, peer: bytes, protocol: str, size: int) -> None:
        """An answer of `size` bytes is sent to `peer`."""
        if size > FOUND_COST_BYTES:
            name = read_peer_id(peer)
            kind, _ = _PRICES[protocol](0)
            self._rates.charge(name, kind, size / FOUND_COST_BYTES, self._standing_of(name), self._now())

    def affords(self, sender: bytes, turns: int) -> bool:
        """Charge `sender` for reading a body that it wants stored. False: do not read it."""
        return self._admits(read_peer_id(sender), None, Kind.STORE, turns / STORE_COST_TURNS)

    def noted(self, peer: bytes, error: MessageError) -> None:
        self.refused[f"malformed_{error.reason}"] += 1
        self._offend(peer, Misbehaviour.LIES, MALFORMED_POINTS)

    def source(self, sender: bytes, signer: PeerId) -> Source:
        """Return the source of something that `sender` delivers."""
        brought = read_peer_id(sender)
        group = self.group(brought)
        return Source(brought if group == UNKNOWN else group, signer, self._standing_of(signer))

    def judged(self, peer: bytes, reason: Reason) -> bool:
        """Record that something from `peer` was refused. Return whether it was junk (JUNK_REASONS)."""
        junk = reason in JUNK_REASONS
        self.refused[f"stored_{reason}"] += 1
        if junk:
            self._offend(peer, Misbehaviour.LIES, 1.0)
        return junk

    # Requests to peers -------------------------------------------------------------------------------

    def shuns(self, peer: PeerId) -> bool:
        """Whether the transport currently avoids the peer."""
        return self._standing_of(peer) <= Standing.BANNED or self._conduct.is_shunned(peer, self._now())

    def relies_on(self, peer: PeerId) -> bool:
        """Whether the peer has done something for this one that costs more than an identity."""
        known = self._standing_of(peer) >= Standing.KNOWN
        return (known or self._delivered(peer) > 0) and not self.shuns(peer)

    def has_met(self, peer: PeerId) -> bool:
        return self._standing_of(peer) >= Standing.MET and not self.shuns(peer)

    def group(self, peer: PeerId) -> str:
        """The address group in which the peer was last seen, or UNKNOWN."""
        return self._groups.get(peer, UNKNOWN)

    def kept_ours(self, peer: bytes) -> None:
        """The peer stored at least one of the things it was asked to store."""
        self._conduct.redeem(read_peer_id(peer), Misbehaviour.REFUSES)

    def refused_ours(self, peer: bytes) -> None:
        """The peer stored none of the things it was asked to store, although all were sound."""
        self._offend(peer, Misbehaviour.REFUSES, 1.0)

    # -------------------------------------------------------------------------------------------------

    def _locate(self, peer: PeerId, group: str) -> None:
        self._groups.pop(peer, None)
        self._groups[peer] = group
        if len(self._groups) > GROUPS_MAX:
            del self._groups[next(iter(self._groups))]

    def _offend(self, peer: bytes, what: Misbehaviour, points: float) -> None:
        self._conduct.offend(read_peer_id(peer), what, points, self._now())

    def _shun(self, peer: PeerId, what: Misbehaviour) -> None:
        warn = self._hang_ups.take("warn", SAID, 1.0, self._now())
        log.log(
            logging.WARNING if warn else logging.DEBUG, "peer shunned for a while", peer=peer, because=what
        )
        if what is Misbehaviour.FLOOD:
            self._flooding[peer] = None
        self._report(peer, what)
        self._hang_up(peer)

    def _hang_up(self, peer: PeerId) -> None:
        now = self._now()
        often = self._hang_ups.take(peer, HANG_UPS_OF_ONE, 1.0, now)
        if often and self._hang_ups.take("all", HANG_UPS, 1.0, now) and not self.to_disconnect.full():
            self.to_disconnect.put_nowait(peer)


def _price_of_store(size: int) -> tuple[Kind, float]:
    return Kind.STORE, min(STORE_COST_MAX, max(1.0, size / STORE_COST_BYTES))


_PRICES: Mapping[str, Callable[[int], tuple[Kind, float]]] = {
    "SwarmDHT.rpc_ping": lambda _size: (Kind.PING, 1.0),
    "SwarmDHT.rpc_find": lambda size: (Kind.FIND, max(1.0, size // FIND_COST_BYTES)),
    "SwarmDHT.rpc_store": _price_of_store,
}
