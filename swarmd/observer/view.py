"""The observer's report: the snapshot of a peer that does not train, with its view of the swarm."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from protocol import Manifest, PeerStatus
from protocol.limits import MILLI
from swarmd.daemon.company import GONE_S, as_stated, has_left, judgement
from swarmd.daemon.reaching import reach_view
from swarmd.gossip import Gossip
from swarmd.gossip import PeerView as SeenPeer
from swarmd.names import name_of
from swarmd.network.interface import Network
from swarmd.observe import Groups, Health, PeerView, Ranked, StatusSnapshot, SwarmView
from swarmd.observer.board import Board
from swarmd.observer.members import Members
from swarmd.storage import Database

RANKED_MAX = 256  # peers of the board that are shown
KINDS_MAX = 32  # models or devices counted by name, because peers choose these texts


@dataclass(frozen=True)
class View:
    """Reads the parts and changes none of them."""

    manifest: Manifest
    network: Network
    gossip: Gossip
    database: Database
    board: Board
    members: Members
    joined_through: str
    clock: Callable[[], float]
    http: str | None
    news: Callable[[], str | None] = lambda: None
    """A description of a newer version of the swarm."""
    monotonic: Callable[[], float] = time.monotonic
    started_at: float = field(default_factory=time.monotonic)

    @property
    def here(self) -> int:
        """The current number of members, not counting the observer."""
        connections = self.network.statistics().connections
        return sum(is_here(peer, connections) for peer in self.gossip.statistics().peers)

    def snapshot(self) -> StatusSnapshot:
        """Return everything as of now."""
        gossip, network = self.gossip.statistics(), self.network.statistics()
        counts = self.database.ledger.counts()
        reasons = tuple(network.problems or gossip.problems)
        connections = network.connections
        here = [
            peer.status for peer in gossip.peers if is_here(peer, connections) and peer.status is not None
        ]
        by_publisher = self.database.ledger.by_publisher()
        pulled = {peer: found.groups_pulled for peer, found in by_publisher.items()}
        return StatusSnapshot(
            health=Health(ok=not reasons, reasons=reasons),
            peer_id=self.network.peer_id,
            swarm=self.manifest.name,
            swarm_id=self.manifest.swarm_id.hex(),
            round=self.manifest.round_at(self.clock()),
            step=0,
            phase="observing",
            uptime_s=self.monotonic() - self.started_at,
            model="none: it observes",
            device="cpu",
            dtype="none",
            addresses=self.network.addresses,
            reach=reach_view(network.reach, network.ways, announces=False),
            http=self.http,
            news=self.news(),
            groups=Groups(pulled=counts.pulled, rejected=dict(counts.rejected)),
            peers=tuple(self._peer(seen, pulled.get(seen.peer_id, 0), connections) for seen in gossip.peers),
            judgement=judgement(gossip, network),
            pid=os.getpid(),
            join_command=f"swarmd join --peer {self.joined_through}",
            swarm_view=self._swarm(here, counts.pulled, network.bytes_pulled, network.connected_peers),
        )

    def _swarm(self, here: list[PeerStatus], scored: int, bytes_pulled: int, connections: int) -> SwarmView:
        at, members = self.members.curve()
        return SwarmView(
            board=self._ranked(),
            members_at=at,
            members=members,
            models=_most(status.model for status in here),
            devices=_most(status.device for status in here),
            groups_published_claimed=sum(status.groups_published for status in here),
            groups_scored=scored,
            bytes_pulled=bytes_pulled,
            connections=connections,
        )

    def _ranked(self) -> tuple[Ranked, ...]:
        claims = {
            peer.peer_id: peer.status.reward_mean_milli / MILLI
            for peer in self.gossip.statistics().peers
            if peer.status is not None
        }
        found = list(self.board.successes().items())[:RANKED_MAX]
        return tuple(
            Ranked(
                peer_id=peer,
                groups=success.groups,
                success=success.mean,
                interval=success.interval,
                claimed=claims.get(peer),  # type: ignore[call-overload]  # a PeerId is text
            )
            for peer, success in found
        )

    def _peer(self, seen: SeenPeer, groups_pulled: int, connections: Collection[str]) -> PeerView:
        view = PeerView(
            peer_id=seen.peer_id,
            name=name_of(seen.peer_id),
            age_s=seen.age_s,
            last_seen=None if seen.age_s is None else self.clock() - seen.age_s,
            gone=not is_here(seen, connections),
            connected=seen.peer_id in connections,
            standing=seen.standing.name.lower(),
            on_trial=seen.on_trial,
            trust=seen.trust,
            groups_taught=seen.groups_taught,
            points_lost=dict(seen.points_lost),
            groups_pulled=groups_pulled,
        )
        return as_stated(view, seen.status)


def is_here(peer: SeenPeer, connections: Collection[str]) -> bool:
    is_heard = peer.age_s is not None and peer.age_s < GONE_S
    return is_heard and not has_left(peer, connections)


def _most(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common(KINDS_MAX))
