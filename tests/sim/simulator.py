"""A whole swarm of `Gossip` machines in simulated time: one heap of events, one seed, no asyncio.

The network underneath is a small Kademlia by its effects: a value lives on the few peers nearest to its key
among those that the writer can reach, and a reader asks those that are nearest among whom it can reach.
Whom a peer can reach follows from links: `Connect` makes them, partitions and deaths cut them.
The simulator plays the daemon too: a trainer that makes groups and a scorer that knows the truth.
"""

from __future__ import annotations

import functools
import hashlib
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from protocol import (
    MEMBERSHIP_SHARDS,
    SHARD_ENTRIES_MAX,
    KeyPair,
    Manifest,
    PeerId,
    RejectedRecord,
    VerifiedRecord,
    digest_of,
    membership_key,
    place_announcement,
    shard_of,
)
from swarmd import gossip as g
from swarmd.network.interface import PullFailure, Way
from swarmd.network.shares import Source
from swarmd.network.shelf import Shelf
from tests.gossip.making import START, key, make_group, make_own_status, question

HOLDERS = 5  # replicas of a value, as in hivemind
DOORS = 64  # peers lost that are knocked at, as in `swarmd/network/doors.py` ...
KNOCKS = 16  # ... so many at a time
SLOWEST_S = 10.0  # the longest that a call takes
JOIN_LINKS = 4  # peers a joining one gets to know besides those it dialled


def empty_shelf() -> Shelf:
    return Shelf(random.Random(0))


def brought_by(peer: Peer) -> Source:
    """Every simulated peer has an address of its own."""
    return Source(sender=peer.peer_id, signer=peer.peer_id)


@dataclass(frozen=True)
class Trainer:
    """How a peer trains: its pace, the groups made and used in a step, the share of its own that teach."""

    step_seconds: float = 5.0
    local: int = 4
    external: int = 4
    informative: float = 0.6


@dataclass
class Peer:
    """One peer: its machine, its disk and DHT storage, and what a test wants to know of it."""

    number: int
    key: KeyPair
    machine: g.Gossip | None
    trainer: Trainer
    rng: random.Random
    clock_offset: float = 0.0
    dialable: bool = True
    address: str = ""
    """The multiaddr at which others see it."""
    side: int = 0
    alive: bool = True
    links: set[int] = field(default_factory=set)
    lost: dict[int, None] = field(default_factory=dict)
    """Those it was linked to, and is not; it knocks at their doors."""
    steps: int = 0
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    shelf: Shelf = field(default_factory=empty_shelf)
    """its part of the DHT"""
    announced: deque[bytes] = field(default_factory=lambda: deque(maxlen=SHARD_ENTRIES_MAX))
    """What it tells whoever asks; a hostile one tells of other names too, and as much as an answer holds."""
    accepted: Counter[PeerId] = field(default_factory=Counter)
    accepted_rounds: Counter[int] = field(default_factory=Counter)
    drops: list[g.Drop] = field(default_factory=list)
    changes: list[g.StandingChanged] = field(default_factory=list)
    pulls_from: Counter[PeerId] = field(default_factory=Counter)
    keys_read: int = 0
    bytes_read: int = 0
    bytes_pulled: int = 0

    @property
    def peer_id(self) -> PeerId:
        return self.key.peer_id

    def statistics(self) -> g.GossipStatistics:
        assert self.machine is not None
        return self.machine.statistics()


class Swarm:
    """Peers, their network, and the clock."""

    def __init__(
        self,
        manifest: Manifest,
        *,
        seed: int,
        loss: float = 0.0,
        latency: float = 0.05,
        slow: float = 0.0,
        doubled: float = 0.0,
    ) -> None:
        """`latency`: mean seconds of a call; the share `slow` of them takes up to SLOWEST_S, which also puts
        them out of order; the answer to the share `doubled` comes a second time."""
        self.manifest = manifest
        self.rng = random.Random(seed)
        self.loss = loss
        self.latency = latency
        self.slow = slow
        self.doubled = doubled
        self.now = START
        self.peers: list[Peer] = []
        self.by_id: dict[PeerId, Peer] = {}
        self.trace = hashlib.sha256()
        self.fullest_key = 0
        self.tampered_reads: Callable[[list[bytes]], list[bytes]] = lambda envelopes: envelopes
        self.tampered_bodies: dict[PeerId, Callable[[bytes], bytes | None]] = {}
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._entered = 0
        self._groups_made = 0
        self._components: dict[int, list[Peer]] | None = None

    # Time ------------------------------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self._entered += 1
        heapq.heappush(self._agenda, (self.now + seconds, self._entered, do))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._agenda and self._agenda[0][0] <= end:
            self.now, _, do = heapq.heappop(self._agenda)
            do()
        self.now = end

    # Peers -----------------------------------------------------------------------------------------

    def join(
        self,
        *,
        trainer: Trainer | None = None,
        limits: g.GossipLimits | None = None,
        clock_offset: float = 0.0,
        via: Sequence[Peer] = (),
        dialable: bool = True,
    ) -> Peer:
        """A new honest peer, connected to `via` (everybody alive, if empty)."""
        peer = self._enrol(trainer or Trainer())
        rng = random.Random(self.rng.random())
        machine = g.Gossip(key=peer.key, manifest=self.manifest, rng=rng, limits=limits, dialable=dialable)
        peer.machine = machine
        peer.clock_offset, peer.dialable = clock_offset, dialable
        self.link(peer, via or [p for p in self.peers if p is not peer])
        self.tell(peer, g.Demand(peer.trainer.external, peer.trainer.step_seconds))
        self.after(self.rng.random(), lambda: self._tick(peer))
        self.after(self.rng.random() * peer.trainer.step_seconds, lambda: self._step(peer))
        return peer

    def outsider(self) -> Peer:
        """A peer that follows no rules: it has a key, a disk and links, and a test moves its hands."""
        peer = self._enrol(Trainer())
        self.link(peer, [p for p in self.peers if p is not peer])
        return peer

    def kill(self, peer: Peer) -> None:
        """Without a word: its part of the DHT is lost."""
        peer.alive = False
        peer.shelf = empty_shelf()
        for other in peer.links:
            self.peers[other].links.discard(peer.number)
            self._lose(self.peers[other], peer)
        peer.links.clear()
        self._components = None

    def partition(self, sides: Sequence[Sequence[Peer]]) -> None:
        """Cut every link between the sides; nobody can dial across until `heal`."""
        for side, members in enumerate(sides):
            for peer in members:
                peer.side = side
        for peer in self.peers:
            for other in [self.peers[n] for n in sorted(peer.links) if self.peers[n].side != peer.side]:
                peer.links.discard(other.number)
                self._lose(peer, other)
        self._components = None

    def heal(self) -> None:
        """Dialling works again everywhere; links that were cut stay cut until somebody dials or knocks."""
        for peer in self.peers:
            peer.side = 0

    def link(self, peer: Peer, others: Sequence[Peer]) -> None:
        """`peer` dials `others` and learns of a few more through them, as a joining Kademlia node does."""
        answering = [o for o in others if o.alive and o.side == peer.side and o is not peer]
        for other in self.rng.sample(answering, min(JOIN_LINKS, len(answering))):
            known = [self.peers[n] for n in sorted(other.links) if n != peer.number]
            for friend in [other, *self.rng.sample(known, min(JOIN_LINKS, len(known)))]:
                peer.links.add(friend.number)
                friend.links.add(peer.number)
                peer.lost.pop(friend.number, None)
                friend.lost.pop(peer.number, None)
        self._components = None

    def _lose(self, peer: Peer, other: Peer) -> None:
        peer.lost[other.number] = None
        if len(peer.lost) > DOORS:
            del peer.lost[next(iter(peer.lost))]

    def _knock(self, peer: Peer) -> None:
        """At some doors of the lost; who opens is linked again. As `swarmd/network/in_touch.py` does."""
        for number in self.rng.sample(sorted(peer.lost), min(KNOCKS, len(peer.lost))):
            other = self.peers[number]
            if other.alive and other.side == peer.side and self.rng.random() >= self.loss:
                self.link(peer, [other])

    def unlink(self, peer: Peer, other: Peer) -> None:
        """One of the two hangs up."""
        peer.links.discard(other.number)
        other.links.discard(peer.number)
        self._components = None

    def _enrol(self, trainer: Trainer) -> Peer:
        number = len(self.peers)
        peer = Peer(number, key(number), None, trainer, random.Random(self.rng.random()))
        peer.address = f"/ip4/10.{number >> 16}.{number >> 8 & 255}.{number & 255}/tcp/4001"
        self.peers.append(peer)
        self.by_id[peer.peer_id] = peer
        return peer

    # The daemon's part -----------------------------------------------------------------------------

    def tell(self, peer: Peer, event: g.Event) -> None:
        if not peer.alive or peer.machine is None:
            return
        for command in peer.machine.handle(event, self.now + peer.clock_offset):
            what = command.record.digest if isinstance(command, g.Verify) else command
            self.trace.update(f"{self.now:.6f} {peer.number} {what!r}".encode())
            self._carry_out(peer, command)

    def _tick(self, peer: Peer) -> None:
        if peer.alive and peer.machine is not None:
            self._knock(peer)
            connections = {self.peers[n].peer_id: self.peers[n].address for n in sorted(peer.links)}
            unheard = frozenset(self.peers[n].peer_id for n in peer.lost)
            self.tell(peer, g.Tick(len(peer.links), connections=connections, unheard=unheard))
            wakeup = peer.machine.next_wakeup - peer.clock_offset
            assert wakeup > self.now, "a machine that wakes in the past would spin"
            self.after(wakeup - self.now, lambda: self._tick(peer))

    def _step(self, peer: Peer) -> None:
        if not peer.alive:
            return
        peer.steps += 1
        for _ in range(peer.trainer.local):
            self._groups_made += 1
            rewards = (1.0, 0.0, 0.0) if peer.rng.random() < peer.trainer.informative else (0.0, 0.0, 0.0)
            self.tell(peer, make_group(self.manifest, self._groups_made, rewards))
        self.tell(peer, make_own_status(peer.key))
        self.after(peer.trainer.step_seconds, lambda: self._step(peer))

    def _carry_out(self, peer: Peer, command: g.Command) -> None:
        match command:
            case g.StoreBlob(digest, envelope):
                peer.blobs[digest] = envelope
            case g.StoreBody(envelope):
                self._later(lambda: self.store_body(peer, envelope))
            case g.TellAnnouncement(envelope):
                peer.announced.append(envelope)
            case g.Announce(envelopes):
                self._later(lambda: self.tell(peer, g.Announced(self._announce_all(peer, envelopes))))
            case g.PublishStatus(envelope, shards):
                self._later(lambda: self.store_status(peer, envelope, shards=shards))
                self._later(lambda: self.tell(peer, g.StatusPublished(kept=True)))
            case g.ReadAnnouncements(keys):
                peer.keys_read += len(keys)
                self._later(lambda: self.tell(peer, g.AnnouncementsRead(self._read(peer, keys))))
            case g.AskPublisher(publisher):
                self._later(
                    lambda: self.tell(peer, g.PublisherTold(publisher, self._told_by(peer, publisher)))
                )
            case g.ReadStatuses(keys):
                self._later(lambda: self.tell(peer, g.StatusesRead(self._read(peer, keys))))
            case g.Pull(publisher, digest):
                peer.pulls_from[publisher] += 1
                self._later(lambda: self.tell(peer, self._pull(peer, publisher, digest)))
            case g.Verify(record):
                self.after(0.2, lambda: self.tell(peer, self._score(peer, record)))
            case g.Drop():
                peer.drops.append(command)
            case g.Connect(addresses):
                named = [PeerId(address.rpartition("/")[2]) for address in addresses]
                dialled = [self.by_id[peer_id] for peer_id in named if peer_id in self.by_id]
                self._later(lambda: self.link(peer, dialled))
            case g.Disconnect(other):
                if other in self.by_id:
                    self.unlink(peer, self.by_id[other])
            case g.StandingChanged():
                peer.changes.append(command)
            case g.RememberPeer() | g.RememberAcquaintance() | g.ForgetPeer():
                pass

    def _later(self, do: Callable[[], None]) -> None:
        seconds = self.latency * (0.5 + self.rng.random())
        if self.slow and self.rng.random() < self.slow:
            seconds = self.rng.uniform(seconds, SLOWEST_S)
        self.after(seconds, do)
        if self.doubled and self.rng.random() < self.doubled:
            self.after(seconds + self.rng.random(), do)

    def _score(self, peer: Peer, verified: VerifiedRecord) -> g.Event:
        """What a daemon finds by itself: the true question, and the rewards that the texts deserve."""
        record = verified.record
        if hashlib.sha256(question(record.task).encode()).digest() != record.question_digest:
            return g.GroupRejected(verified.digest, "question")
        informative = len({c.text for c in record.completions}) > 1
        if informative:
            peer.accepted[verified.publisher] += 1
            peer.accepted_rounds[record.round] += 1
        return g.GroupScored(verified.digest, informative)

    # The network -----------------------------------------------------------------------------------

    def _announce_all(self, peer: Peer, envelopes: Sequence[bytes]) -> int:
        return sum(self.announce(peer, envelope) for envelope in envelopes)

    def announce(self, peer: Peer, envelope: bytes) -> bool:
        """Store an announcement under its own key, as far as the holders find it sound."""
        try:
            placed = place_announcement(envelope, manifest=self.manifest, now=self.now)
        except RejectedRecord:
            return False
        peer.announced.append(envelope)
        stored = False
        for holder in self._holders(peer, placed.key):
            held = holder.shelf.put_entry(
                placed.key, placed.subkey, envelope, placed.expires, self.now, brought_by(peer)
            )
            stored |= held
            if held and holder is not peer:
                self.tell(holder, g.AnnouncementHeld(envelope))
            self.fullest_key = max(self.fullest_key, len(holder.shelf.entries(placed.key, self.now)))
        return stored

    def store_status(
        self, peer: Peer, envelope: bytes, signer: PeerId | None = None, shards: int = MEMBERSHIP_SHARDS
    ) -> None:
        """Store a status of `peer`, or of the `signer` in whose name it speaks."""
        swarm, signer = self.manifest.swarm_id, signer or peer.peer_id
        status_key = membership_key(swarm, shard_of(signer, swarm, shards))
        expires = self.now + peer.clock_offset + 120
        for holder in self._holders(peer, status_key):
            holder.shelf.put_entry(status_key, signer.encode(), envelope, expires, self.now, brought_by(peer))

    def store_body(self, peer: Peer, envelope: bytes) -> None:
        digest = digest_of(envelope)
        for holder in self._holders(peer, digest):
            holder.shelf.put_plain(digest, envelope, self.now + 300, self.now, brought_by(peer))

    def _read(self, peer: Peer, keys: Sequence[bytes]) -> tuple[bytes, ...]:
        found: dict[bytes, None] = {}
        for dht_key in keys:
            for holder in self._holders(peer, dht_key):
                found |= dict.fromkeys(
                    held.value for held in holder.shelf.entries(dht_key, self.now).values()
                )
        peer.bytes_read += sum(map(len, found))
        return tuple(self.tampered_reads(list(found)))

    def _told_by(self, peer: Peer, publisher: PeerId) -> tuple[bytes, ...]:
        source = self.by_id.get(publisher)
        reached = source is not None and source.alive and source in self._reachable(peer)
        return tuple(dict.fromkeys(source.announced)) if source is not None and reached else ()

    def _pull(self, peer: Peer, publisher: PeerId, digest: bytes) -> g.Event:
        source = self.by_id.get(publisher)
        body, direct = None, False
        if source is not None and source.alive and source in self._reachable(peer):
            direct = self.rng.random() >= self.loss and source.dialable
            body = source.blobs.get(digest) if direct else None
        way = Way.INLINE if body is None else Way.DIRECT
        if body is None:
            inline = [
                held.value for h in self._holders(peer, digest) if (held := h.shelf.plain(digest, self.now))
            ]
            body = inline[0] if inline else None
        if body is not None and publisher in self.tampered_bodies:
            body = self.tampered_bodies[publisher](body)
        if body is None:
            kind = PullFailure.ABSENT if direct else PullFailure.UNREACHABLE
            return g.PullFailed(digest, kind.value, kind)
        peer.bytes_pulled += len(body)
        return g.BodyArrived(digest, body, way, source.address if source and direct else None)

    def _holders(self, peer: Peer, dht_key: bytes) -> list[Peer]:
        """The reachable peers nearest to the key, less those that do not answer this time."""
        near = heapq.nsmallest(HOLDERS, self._reachable(peer), key=lambda p: _distance(dht_key, p.number))
        return [p for p in near if p is peer or self.rng.random() >= self.loss]

    def _reachable(self, peer: Peer) -> list[Peer]:
        """Everybody alive whom a chain of links joins to `peer`, itself included."""
        if self._components is None:
            self._components = {}
        if peer.number not in self._components:
            seen = {peer.number}
            edge = [peer.number]
            while edge:
                edge = sorted(set().union(*(self.peers[n].links for n in edge)) - seen)
                seen.update(edge)
            members = [self.peers[n] for n in sorted(seen)]
            self._components |= dict.fromkeys(seen, members)
        return self._components[peer.number]


@functools.lru_cache(maxsize=1_000_000)
def _distance(dht_key: bytes, number: int) -> bytes:
    """Kademlia's nearness, near enough: peers in an order that the key decides."""
    return hashlib.blake2b(dht_key + number.to_bytes(4, "big"), digest_size=8).digest()
