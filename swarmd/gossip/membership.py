"""The members of the swarm: statuses read from the membership shards, addresses to keep, and peers to dial.

Within a minute the tables hold all of a small swarm, or a sample of a large one. A status is its signer's
claim and costs nothing, so these tables serve only people and dialling; the size of the swarm is estimated
from contacts. A peer known only from a status never displaces a contact or a former contact.
"""

from __future__ import annotations

import math
import random
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol import (
    MEMBERSHIP_SHARDS,
    MEMBERSHIP_SHARDS_MAX,
    PeerId,
    PeerStatus,
    VerifiedStatus,
    membership_key,
)
from swarmd.gossip.commands import Command, Connect, RememberPeer
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.timer import Timer

SIZE_ERROR = 4  # factor by which the estimated size of a swarm may be too small; further names are made up
STATUSES_PER_READ = 16  # enough to notice newcomers; the bytes of a read do not depend on the swarm's size
LEFT = "left"
"""The phase in the last status of a peer that leaves in an orderly way."""

SILENCE_S = 60.0  # a peer is listed this long after its expiry: time to read a small swarm's shards twice


@dataclass(frozen=True)
class PeerSeen:
    """A peer whose status was read recently."""

    peer_id: PeerId
    status: PeerStatus
    read_at: float


IsContact = Callable[[PeerId, float], bool]
"""(peer, Unix time in seconds) -> whether the peer is a contact then."""


class Membership:
    """Bounded tables of peers and addresses. Reads a few shards at a time, in turn."""

    def __init__(
        self, swarm: bytes, own: PeerId, limits: GossipLimits, rng: random.Random, is_contact: IsContact
    ) -> None:
        self._swarm = swarm
        self._own = own
        self._limits = limits
        self._rng = rng
        self._is_contact = is_contact
        self._peers: Kept[PeerId, PeerSeen] = Kept(limits.peers_max)
        self._addresses: Kept[PeerId, tuple[str, ...]] = Kept(limits.addresses_max)
        self._told: Kept[PeerId, tuple[str, ...]] = Kept(limits.addresses_max)
        """The addresses sent in the last `RememberPeer`."""
        self._left: Kept[PeerId, None] = Kept(limits.peers_max)
        self._turn = list(range(MEMBERSHIP_SHARDS_MAX))
        rng.shuffle(self._turn)
        self._shards = MEMBERSHIP_SHARDS
        self._asked: tuple[int, ...] = ()
        self._entries: dict[int, float] = {}
        self._is_starting = True
        """Whether neither all shards nor `membership_first` statuses were read yet."""
        self.read_timer = Timer()
        self._rest = Timer()
        """The longest pause of the reads so far."""
        self._read_at = -math.inf
        self.connect_timer = Timer()
        self.reach_out_timer = Timer()
        self._missed: OrderedDict[PeerId, None] = OrderedDict()
        self._missed_timer = Timer()

    # Reading ---------------------------------------------------------------------------------------

    def keys(self, now: float, shards: int = MEMBERSHIP_SHARDS) -> tuple[bytes, ...]:
        """Return the membership keys to read now, if any. Fewer keys are read if shards are full.

        `shards`: how many are believed to be in use. Peers that believe in fewer are among them too.
        """
        if not self.read_timer.due(now):
            return ()
        self._shards = shards
        self._entries = {shard: entries for shard, entries in self._entries.items() if shard < shards}
        wanted = round(STATUSES_PER_READ / max(self._entries_per_shard(), 1.0))
        count = max(1, min(self._limits.membership_keys_max, wanted))
        self._asked = tuple(shard for shard in self._turn if shard < shards)[:count]
        self._turn = [shard for shard in self._turn if shard not in self._asked] + list(self._asked)
        self.read_timer.pause(now, self._limits.read_answer_s)
        return tuple(membership_key(self._swarm, shard) for shard in self._asked)

    def answered(self, statuses: Sequence[VerifiedStatus], now: float, swarm_size: int = 1) -> list[Command]:
        """The pending read returned `statuses`, verified."""
        # holders can disagree about which is newest
        publishers = {verified.publisher for verified in statuses}
        brought = min(len(publishers), self._believable(swarm_size))
        for shard in self._asked:
            self._entries[shard] = brought / len(self._asked)
        self._asked = ()
        remembered = [
            self._remember(verified, now) for verified in statuses if verified.publisher != self._own
        ]
        self._pause(brought, now, swarm_size)
        self.expire(now)
        return [command for command in remembered if command is not None]

    def failed(self, now: float, swarm_size: int = 1) -> None:
        """The pending read failed, which says nothing of its shards."""
        self._asked = ()
        self._pause(0, now, swarm_size)

    def _believable(self, swarm_size: int) -> int:
        """The most statuses that count for the pace. Without contacts, nothing is known of the size."""
        alone = swarm_size <= 1
        return self._limits.membership_first if alone else max(STATUSES_PER_READ, SIZE_ERROR * swarm_size)

    def _pause(self, brought: int, now: float, swarm_size: int) -> None:
        """Pause in proportion to what a read returned, so the rate does not grow with the swarm. There are
        only so many keys, so in a large swarm it falls as the number of readers grows.

        A read before the end of a pause does not shorten it: a peer that starts reads eight keys, and one
        more as soon as it has neighbours.
        """
        self._read_at = now
        limits = self._limits
        pause = max(limits.membership_interval_s_max, limits.membership_s_per_status * brought)
        pause *= max(1.0, swarm_size / limits.statuses_listed)
        chance = self._rng.uniform(0.75, 1.25)  # never in step with publishers
        few = len(self._peers) < limits.membership_first
        self._is_starting &= few and len(self._entries) < self._shards
        if self._is_starting:
            self.read_timer.pause(now, chance * limits.membership_interval_s)
            return
        left = 0.0 if self._rest.due(now) else self._rest.at - now
        self._rest.pause(now, max(left, chance * pause))
        self.read_timer.pause(now, self._rest.at - now)

    def look_again(self) -> None:
        """A peer fell silent and may have said goodbye, so read again soon."""
        if not self._asked:
            soon = self._read_at + self._limits.membership_interval_s_max
            self.read_timer.at = min(self.read_timer.at, soon)

    def told(self, peer: PeerId, status: PeerStatus, now: float) -> None:
        """A connected peer sent its status directly."""
        self._list(peer, status, now)

    def hurry(self) -> None:
        """Something changed (new neighbours, a new transport): read and dial at once."""
        self.connect_timer.wake()
        self.reach_out_timer.wake()
        if not self._asked:
            self.read_timer.wake()

    def _remember(self, verified: VerifiedStatus, now: float) -> RememberPeer | None:
        peer, status = verified.publisher, verified.status
        known = self._peers.get(peer)
        if not self._list(peer, status, now):
            return None
        close = self._is_contact(peer, now)
        own = self._remember_addresses(peer, status.addresses, close=close)
        # Also if a peer returns at a known address, so that it is among the newest at the next start.
        if not own or not close or (known is not None and self._told.get(peer) == own):
            return None
        self._told.put(peer, own, close=True)
        return RememberPeer(peer, own)

    def _list(self, peer: PeerId, status: PeerStatus, now: float) -> bool:
        """List the peer. Return False if a newer status is known."""
        known = self._peers.get(peer)
        if known is not None and known.status.created > status.created:
            return False
        close = self._is_contact(peer, now)
        self._left.pop(peer)
        if status.phase == LEFT:
            self._left.put(peer, None, close=close)
        self._peers.put(peer, PeerSeen(peer, status, now), close=close)
        return True

    def _remember_addresses(
        self, peer: PeerId, addresses: tuple[str, ...], *, close: bool
    ) -> tuple[str, ...]:
        """Keep and return only addresses with the peer's own id, to protect third parties."""
        own = tuple(address for address in addresses if address.endswith(f"/p2p/{peer}"))
        reached = close or peer in self._addresses.close_keys()
        self._addresses.pop(peer)
        if own:
            self._addresses.put(peer, own, close=reached)
        return own

    # Lookup ----------------------------------------------------------------------------------------

    def peers(self) -> tuple[PeerSeen, ...]:
        """Return the peers whose status was read recently, newest last."""
        return self._peers.values()

    def left(self) -> frozenset[PeerId]:
        """Return the peers whose last status said that they leave, however long ago."""
        return frozenset(self._left)

    def expire(self, now: float) -> None:
        for seen in self._peers.values():
            if seen.status.expires + SILENCE_S <= now:
                self._peers.pop(seen.peer_id)

    def forget(self, peer: PeerId) -> None:
        """Stop listing and dialling the peer."""
        for table in (self._peers, self._addresses, self._told):
            table.pop(peer)

    def _entries_per_shard(self) -> float:
        return sum(self._entries.values()) / len(self._entries) if self._entries else 0.0

    # Dialling --------------------------------------------------------------------------------------

    def remembered(self, peers: Sequence[tuple[PeerId, tuple[str, ...]]]) -> None:
        """Load the peers from earlier runs. They were contacts then."""
        for peer, addresses in peers:
            if peer != self._own:
                self._remember_addresses(peer, addresses, close=True)

    def connect(self, neighbours: int, now: float) -> Connect | None:
        """Return what to dial now, if anything.

        With few neighbours, dial several peers. Otherwise dial peers that were missed and, at long intervals,
        one silent peer, which heals a split swarm.
        """
        few = neighbours < min(self._limits.neighbours_min, len(self._addresses))
        if few and self.connect_timer.due(now):
            self.connect_timer.pause(now, self._limits.connect_interval_s)
            return self._dial(self._some(self._limits.connect_peers_max))
        if self._missed and self._missed_timer.due(now):
            self._missed_timer.pause(now, self._limits.missed_interval_s)
            peer, _ = self._missed.popitem(last=False)
            return self._dial([peer])
        if self.reach_out_timer.due(now):
            self.reach_out_timer.pause(now, self._limits.reach_out_interval_s)
            silent = [p for p in self._addresses if p not in self._peers]
            reached = [p for p in self._addresses.close_keys() if p not in self._peers]
            chosen = reached if reached and self._rng.random() < 1 / 2 else silent
            return self._dial(self._rng.sample(chosen, min(1, len(chosen))))
        return None

    def missed(self, peer: PeerId) -> None:
        """A body arrived from a peer that is not connected and may be behind a relay. Dial it soon."""
        if self._addresses.get(peer):
            self._missed[peer] = None
            if len(self._missed) > self._limits.missed_max:
                self._missed.popitem(last=False)

    def _some(self, count: int) -> list[PeerId]:
        """Choose peers to dial; half of them were reached before, if there are any."""
        reached = list(self._addresses.close_keys())
        chosen = self._rng.sample(reached, min(count // 2, len(reached)))
        rest = [peer for peer in self._addresses if peer not in chosen]
        return chosen + self._rng.sample(rest, min(count - len(chosen), len(rest)))

    def _dial(self, peers: Sequence[PeerId]) -> Connect | None:
        addresses = tuple(address for peer in peers for address in self._addresses.get(peer) or ())
        return Connect(addresses) if addresses else None
