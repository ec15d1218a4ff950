"""A peer without a model: the gossip that daemons run, over a network, with groups that no policy generated.

It carries out gossip's commands as `swarmd.daemon.exchange` does. It leaves out the database, the sandbox
(every sound group teaches at once) and the trainer, so its numbers are those of the swarm's traffic.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from benchmarks.scale.workload import MANIFEST, STEP_S, demand, group, own_status
from protocol import KeyPair, PeerId
from swarmd import gossip as g
from swarmd.errors import NetworkError
from swarmd.network.interface import (
    BodyProvider,
    NetworkStatistics,
    News,
    Pulled,
    PullFailedError,
    PullFailure,
    Report,
    StandingOf,
)

T = TypeVar("T")
N = TypeVar("N", bound="PeerNetwork")

WORKERS = 16
"""Commands that wait on the network at once, as in the exchange."""


class PeerNetwork(Protocol):
    """The part of `swarmd.network.Network` that gossip needs."""

    @property
    def peer_id(self) -> PeerId: ...
    @property
    def addresses(self) -> tuple[str, ...]: ...
    def serve(self, *, bodies: BodyProvider, manifest: bytes) -> None: ...
    def tell(self, envelope: bytes, with_credits: bytes | None = None) -> None: ...
    def tell_announcement(self, envelope: bytes) -> None: ...
    def news_by(self, news: News) -> None: ...
    def judge_by(self, standing_of: StandingOf, report: Report) -> None: ...
    async def connect(self, addresses: tuple[str, ...], *, named: bool = False) -> int: ...
    async def disconnect(self, peer_id: PeerId) -> None: ...
    async def announce(self, envelopes: tuple[bytes, ...]) -> int: ...
    async def read_announcements(self, keys: tuple[bytes, ...]) -> list[bytes]: ...
    async def announcements_of(self, peer_id: PeerId) -> list[bytes]: ...
    async def publish_status(self, envelope: bytes, shards: int) -> bool: ...
    async def read_statuses(self, keys: tuple[bytes, ...]) -> list[bytes]: ...
    async def ask_status(self, peer_id: PeerId) -> bytes: ...
    async def store_body(self, envelope: bytes) -> bool: ...
    async def pull(self, peer_id: PeerId, digest: bytes, size: int) -> Pulled: ...
    def statistics(self) -> NetworkStatistics: ...


@dataclass
class Ledger:
    """When each record was offered by its publisher, and when it became usable at each other peer. Unix
    seconds.
    """

    offered: dict[bytes, float] = field(default_factory=dict)
    usable: dict[bytes, list[float]] = field(default_factory=dict)

    def published(self, digest: bytes, now: float) -> None:
        self.offered[digest] = now

    def became_usable(self, digest: bytes, now: float) -> None:
        self.usable.setdefault(digest, []).append(now)

    def add(self, other: Ledger) -> None:
        """Add what another peer wrote down."""
        self.offered |= other.offered
        for digest, times in other.usable.items():
            self.usable.setdefault(digest, []).extend(times)

    def waits(self, since: float, until: float) -> list[list[float]]:
        """Return how many seconds each peer waited for each record that was offered in this time. Those of
        the last half a step are left out: many peers pull them too late to be seen.
        """
        return [
            [at - made for at in self.usable[digest]]
            for digest, made in self.offered.items()
            if digest in self.usable and since <= made < until - STEP_S / 2
        ]


class ModellessPeer(Generic[N]):
    """One peer of a measured swarm, from the start of `run` until its task is cancelled."""

    def __init__(
        self,
        key: KeyPair,
        network: N,
        rng: random.Random,
        clock: Callable[[], float],
        ledger: Ledger,
    ) -> None:
        self.network = network
        self._rng = rng
        self._clock = clock
        self._ledger = ledger
        self.gossip = g.Gossip(key=key, manifest=MANIFEST, rng=rng)
        self._bodies: dict[bytes, bytes] = {}
        self._outbox: asyncio.Queue[g.Command] = asyncio.Queue()
        self._changed = asyncio.Event()
        self.did: Counter[str] = Counter()
        """How many commands of each kind were carried out, and `keys` of announcements read."""
        self.joined_at = clock()
        self.first_external_s: float | None = None
        """Seconds until the first external group was usable."""
        self.new_candidates = 0
        """Announcements read that were new and worth a pull."""
        self._used: Counter[PeerId] = Counter()
        self._step = 0
        network.serve(bodies=self._bodies.get, manifest=MANIFEST.to_bytes())
        network.news_by(lambda envelope: self.handle(g.AnnouncementHeld(envelope)))
        network.judge_by(self.gossip.standing, lambda peer, what: self.handle(g.Misbehaved(peer, what)))

    async def run(self) -> None:
        self.handle(demand())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_ticking())
            tasks.create_task(self._keep_publishing())
            for _ in range(WORKERS):
                tasks.create_task(self._keep_executing())

    def handle(self, event: g.Event) -> None:
        for command in self.gossip.handle(event, self._clock()):
            self._accept(command)
        self._changed.set()

    def _accept(self, command: g.Command) -> None:
        match command:
            case g.StoreBlob(digest, envelope):
                self._bodies[digest] = envelope
                self._ledger.published(digest, self._clock())
            case g.TellAnnouncement(envelope):
                self.network.tell_announcement(envelope)
            case g.TellStatus(envelope=envelope, with_credits=with_credits):
                self.network.tell(envelope, with_credits)
            case g.Verify(record):
                self._ledger.became_usable(record.digest, self._clock())
                if self.first_external_s is None:
                    self.first_external_s = self._clock() - self.joined_at
                self._used[record.publisher] += 1
                self.handle(g.GroupScored(record.digest, informative=True))
            case _ if type(command).__name__ in _NETWORKED:
                self._outbox.put_nowait(command)

    async def _keep_publishing(self) -> None:
        await asyncio.sleep(self._rng.random() * STEP_S)
        while True:
            self._step += 1
            self.handle(own_status(self.network.addresses, self._step, self._used))
            self.handle(group(self._rng, self._step))
            await asyncio.sleep(STEP_S)

    async def _keep_ticking(self) -> None:
        while True:
            seen = self.network.statistics()
            self.handle(g.Tick(seen.connected_peers, True, seen.connections, seen.unheard))
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, self.gossip.next_wakeup - self._clock())):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _keep_executing(self) -> None:
        while True:
            command = await self._outbox.get()
            self.did[type(command).__name__] += 1
            await self._execute(command)

    async def _execute(self, command: g.Command) -> None:
        network = self.network
        match command:
            case g.Pull(publisher, digest, size):
                await self._pull(publisher, digest, size)
            case g.Announce(envelopes):
                self.handle(g.Announced(await _or(0, network.announce(envelopes))))
            case g.ReadAnnouncements(keys):
                self.did["keys"] += len(keys)
                found = await _or([], network.read_announcements(keys))
                before = self.gossip.statistics().candidates
                self.handle(g.AnnouncementsRead(tuple(found)))
                self.new_candidates += self.gossip.statistics().candidates - before
            case g.AskPublisher(peer):
                told = await _or([], network.announcements_of(peer))
                self.handle(g.PublisherTold(peer, tuple(told)))
            case g.ReadStatuses(keys):
                self.did["status keys"] += len(keys)
                self.handle(g.StatusesRead(tuple(await _or([], network.read_statuses(keys)))))
            case g.PublishStatus(envelope, shards):
                self.handle(g.StatusPublished(await _or(True, network.publish_status(envelope, shards))))
            case g.AskStatus(peer):
                self.handle(g.FullStatusRead(peer, await _or(None, network.ask_status(peer))))
            case g.StoreBody(envelope):
                await _or(False, network.store_body(envelope))
            case g.Connect(addresses):
                await _or(0, network.connect(addresses))
            case g.Disconnect(peer):
                await _or(None, network.disconnect(peer))

    async def _pull(self, publisher: PeerId, digest: bytes, size: int) -> None:
        try:
            pulled = await self.network.pull(publisher, digest, size)
        except NetworkError as error:
            kind = error.kind if isinstance(error, PullFailedError) else PullFailure.LOCAL
            self.did[f"failed: {kind}"] += 1
            self.handle(g.PullFailed(digest, str(error), kind))
            return
        self.handle(g.BodyArrived(digest, pulled.envelope, pulled.way, pulled.address))


_NETWORKED = frozenset(
    each.__name__
    for each in (
        *(g.Pull, g.Announce, g.ReadAnnouncements, g.ReadStatuses, g.PublishStatus),
        *(g.AskPublisher, g.AskStatus, g.StoreBody, g.Connect, g.Disconnect),
    )
)


async def _or(fallback: T, call: Awaitable[T]) -> T:
    try:
        return await call
    except NetworkError:
        return fallback
