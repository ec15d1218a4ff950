"""Who is there: statuses read from the membership shards, addresses worth keeping, and whom to dial.

A small swarm is known by name within a minute; of a large one a sample, and an estimate of its size.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from protocol import MEMBERSHIP_SHARDS, PeerId, PeerStatus, VerifiedStatus, membership_key
from swarmd.gossip.events import Command, Connect, RememberPeer
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.timer import Timer

STATUSES_PER_READ = 16  # enough to notice newcomers; keeps the bytes of a read apart from the swarm's size
SILENCE_S = (
    60.0  # a small swarm's shards are all read twice in that time: a peer is listed so long past its expiry
)


@dataclass(frozen=True)
class PeerSeen:
    """A peer whose status was read lately."""

    peer_id: PeerId
    status: PeerStatus
    read_at: float


class Membership:
    """Bounded tables of peers and of addresses; reads a few shards at a time, each in its turn."""

    def __init__(self, swarm: bytes, own: PeerId, limits: GossipLimits, rng: random.Random) -> None:
        self._swarm = swarm
        self._own = own
        self._limits = limits
        self._rng = rng
        self._peers: dict[PeerId, PeerSeen] = {}
        self._addresses: dict[PeerId, tuple[str, ...]] = {}
        self._turn = list(range(MEMBERSHIP_SHARDS))
        rng.shuffle(self._turn)
        self._asked: tuple[int, ...] = ()
        self._entries: dict[int, float] = {}
        self.read_timer = Timer()
        self.connect_timer = Timer()
        self.reach_out_timer = Timer()

    # Reading ---------------------------------------------------------------------------------------

    def keys(self, now: float) -> tuple[bytes, ...]:
        """Membership keys to read now, or none yet. Fewer the more statuses each of them holds."""
        if not self.read_timer.due(now):
            return ()
        wanted = round(STATUSES_PER_READ / max(self._entries_per_shard(), 1.0))
        count = max(1, min(self._limits.membership_keys_max, wanted))
        self._asked, self._turn = tuple(self._turn[:count]), self._turn[count:] + self._turn[:count]
        self.read_timer.rest(now, self._limits.read_answer_s)
        return tuple(membership_key(self._swarm, shard) for shard in self._asked)

    def answered(self, statuses: Sequence[VerifiedStatus], now: float) -> list[Command]:
        """The read in progress brought `statuses`, verified."""
        publishers = {verified.publisher for verified in statuses}  # holders may differ about which is newest
        for shard in self._asked:
            self._entries[shard] = len(publishers) / len(self._asked)
        self._asked = ()
        first_time = len(self._entries) < MEMBERSHIP_SHARDS
        limits = self._limits
        pause = limits.membership_interval_s if first_time else limits.membership_interval_s_max
        self.read_timer.rest(now, pause * self._rng.uniform(0.75, 1.25))  # never in step with who publishes
        remembered = [
            self._remember(verified, now) for verified in statuses if verified.publisher != self._own
        ]
        self.expire(now)
        return [command for command in remembered if command is not None]

    def hurry(self) -> None:
        """Something changed (new neighbours, a new transport): look around at once."""
        self.connect_timer.wake()
        if not self._asked:
            self.read_timer.wake()

    def _remember(self, verified: VerifiedStatus, now: float) -> RememberPeer | None:
        peer, status = verified.publisher, verified.status
        known = self._peers.pop(peer, None)
        if known is not None and known.status.created > status.created:
            self._peers[peer] = known
            return None
        if len(self._peers) >= self._limits.peers_max:
            del self._peers[next(iter(self._peers))]
        self._peers[peer] = PeerSeen(peer, status, now)
        own = self._remember_addresses(peer, status.addresses)
        # Also where a peer is back at a known address: it is to be among the newest at the next start.
        changed = known is None or known.status.addresses != status.addresses
        return RememberPeer(peer, own) if own and changed else None

    def _remember_addresses(self, peer: PeerId, addresses: tuple[str, ...]) -> tuple[str, ...]:
        """Only addresses that name the peer itself: nobody can have a third party dialled. Returns those."""
        own = tuple(address for address in addresses if address.endswith(f"/p2p/{peer}"))
        self._addresses.pop(peer, None)
        if own:
            if len(self._addresses) >= self._limits.addresses_max:
                del self._addresses[next(iter(self._addresses))]
            self._addresses[peer] = own
        return own

    # Knowing ---------------------------------------------------------------------------------------

    def peers(self) -> tuple[PeerSeen, ...]:
        """Peers whose status was read lately, newest last."""
        return tuple(self._peers.values())

    def swarm_size(self) -> int:
        """Estimated number of peers, this one included: statuses in a shard times the number of shards."""
        estimate = self._entries_per_shard() * MEMBERSHIP_SHARDS
        return max(1, round(estimate), len(self._peers) + 1)

    def expire(self, now: float) -> None:
        self._peers = {p: s for p, s in self._peers.items() if s.status.expires + SILENCE_S > now}

    def _entries_per_shard(self) -> float:
        return sum(self._entries.values()) / len(self._entries) if self._entries else 0.0

    # Dialling --------------------------------------------------------------------------------------

    def remembered(self, peers: Sequence[tuple[PeerId, tuple[str, ...]]]) -> None:
        """Peers of earlier runs."""
        for peer, addresses in peers:
            if peer != self._own:
                self._remember_addresses(peer, addresses)

    def connect(self, neighbours: int, now: float) -> Connect | None:
        """Dial when neighbours are few; also one silent peer now and then, which heals a split swarm."""
        few = neighbours < min(self._limits.neighbours_min, len(self._addresses))
        if few and self.connect_timer.due(now):
            self.connect_timer.rest(now, self._limits.connect_interval_s)
            return self._dial(list(self._addresses), self._limits.connect_peers_max)
        if self.reach_out_timer.due(now):
            self.reach_out_timer.rest(now, self._limits.reach_out_interval_s)
            return self._dial([p for p in self._addresses if p not in self._peers], 1)
        return None

    def _dial(self, peers: list[PeerId], count: int) -> Connect | None:
        chosen = self._rng.sample(peers, min(count, len(peers)))
        addresses = tuple(address for peer in chosen for address in self._addresses[peer])
        return Connect(addresses) if addresses else None
