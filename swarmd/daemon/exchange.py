"""The asyncio shell around `gossip`: executes its commands and feeds the results back.

This is the only place where gossip's commands do I/O. It makes no choices. A bounded number of workers wait
on the network, so one slow peer does not hold up the others. `verifying` verifies the bodies.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from protocol import KeyPair, Manifest, PeerId, RejectedRecord, VerifiedRecord, is_person
from swarmd.addresses import well_formed
from swarmd.daemon.encounters import Encounters
from swarmd.daemon.verifying import VerificationQueue
from swarmd.errors import NetworkError
from swarmd.gossip import (
    Announce,
    Announced,
    AnnouncementHeld,
    AnnouncementsRead,
    AskPublisher,
    AskStatus,
    BodyArrived,
    Command,
    Connect,
    Disconnect,
    Drop,
    Event,
    ForgetPeer,
    FullStatusRead,
    Gossip,
    GroupOffer,
    GroupRejected,
    GroupScored,
    Misbehaved,
    NetworkRestarted,
    NotPublished,
    OperatorSaid,
    Paused,
    PublisherTold,
    PublishStatus,
    Pull,
    PullFailed,
    ReadAnnouncements,
    ReadStatuses,
    RememberAcquaintance,
    RememberClaim,
    RememberCredit,
    RememberPeer,
    StandingChanged,
    StatusesRead,
    StatusPublished,
    StoreBlob,
    StoreBody,
    TellAnnouncement,
    TellStatus,
    Tick,
    Verify,
)
from swarmd.gossip.orders import Order
from swarmd.gossip.reputation import IGNORED, UNJUDGED
from swarmd.network.interface import (
    ClockSkewError,
    Network,
    NetworkClosedError,
    PullFailedError,
    PullFailure,
    Standing,
    Way,
)
from swarmd.observe import EventLog
from swarmd.people.failures import Failures
from swarmd.step.shares import Shares
from swarmd.step.verification import Outcome, Overdrawn, Unjudged, Verification
from swarmd.storage import BlobStore, Database

T = TypeVar("T")

WORKERS = 16  # commands waiting on the network at once: gossip's 8 pulls, plus reads and announcements
OUTBOX_MAX = 1_024  # commands waiting for a worker; gossip keeps a few dozen in flight
CAME_MAX = 2_048  # bodies whose way is remembered until they are verified


class Exchange:
    """One peer's traffic with the swarm, from the start of `run` until its task is cancelled."""

    def __init__(
        self,
        *,
        gossip: Gossip,
        network: Network,
        verification: Verification,
        database: Database,
        blobs: BlobStore,
        events: EventLog,
        clock: Callable[[], float],
    ) -> None:
        self._gossip = gossip
        self._network = network
        self.verification = verification
        self._database = database
        self._blobs = blobs
        self._events = events
        self._clock = clock
        verification.party = gossip.party
        self._outbox: asyncio.Queue[Command] = asyncio.Queue(OUTBOX_MAX)
        self._to_verify = VerificationQueue(verification, self._settle, events)
        self._changed = asyncio.Event()
        self._restarts_seen = 0
        self._pauses_seen = 0
        self.shares = Shares(gossip.party, gossip.met_lately, clock)
        """Shares the trainer's draws out among parties."""
        self.failures = Failures()
        """Questions that peers fail, which a person may answer."""
        self._came: OrderedDict[bytes, Way] = OrderedDict()
        self.encounters = Encounters(network.peer_id, gossip, database, clock)
        network.count_by(self.encounters.delivered)
        network.news_by(lambda envelope: self.handle(AnnouncementHeld(envelope)))
        network.judge_by(gossip.standing, lambda peer, what: self.handle(Misbehaved(peer, what)))

    @property
    def peer_id(self) -> PeerId:
        return self._network.peer_id

    async def run(self) -> None:
        """Tick, execute and verify until cancelled.

        Raises StorageError, NetworkClosedError, TaskError if the sandbox cannot run, and whatever a bug
        raises.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_ticking(), name="gossip ticks")
            group.create_task(self._to_verify.run(), name="verification")
            for index in range(WORKERS):
                group.create_task(self._keep_executing(), name=f"gossip worker {index}")

    def handle(self, event: Event) -> None:
        """Pass an event to gossip, and queue the commands it answers with."""
        for command in self._gossip.handle(event, self._clock()):
            self._accept(command)
        self._changed.set()

    def trust(self, peer: PeerId) -> float:
        """Return how far gossip trusts groups of `peer`, in [0, 1]."""
        return self._gossip.trust(peer)

    def judge(self, order: Order, peers: Sequence[PeerId]) -> None:
        """Store the operator's order about peers, and carry it out at once.

        Raises ConfigError for an order that makes no sense, StorageError.
        """
        word = self._database.acquaintances.judge(order, peers, own=self.peer_id, now=self._clock())
        for peer in peers:
            self.handle(OperatorSaid(peer, word))

    async def ping(self, peer: PeerId) -> float:
        """Return the round-trip time to `peer` in seconds. Raises NetworkError if it does not answer."""
        return await self._network.ping(peer)

    def publish(self, group: GroupOffer, *, round_: int) -> bytes | NotPublished:
        """Offer an own group to the swarm. Gossip decides whether it can teach any peer and whether the round
        has room for it. Returns the digest of its record, or why it is not published.
        """
        commands = self._gossip.handle(group, self._clock())
        for command in commands:
            self._accept(command)
            if isinstance(command, StoreBlob):  # record first: `storage.reconciling` can add a missing entry
                self._database.ledger.published(command.digest, round_, group.step, now=self._clock())
        self._changed.set()
        [found] = [command for command in commands if isinstance(command, StoreBlob | NotPublished)]
        return found.digest if isinstance(found, StoreBlob) else found

    def _accept(self, command: Command) -> None:
        """Execute at once what needs no waiting; queue the rest."""
        match command:
            case StoreBlob(envelope=envelope):
                self._blobs.put(envelope)
            case Drop(digest=digest, reason=reason, publisher=publisher):
                self._database.ledger.rejected(reason, now=self._clock(), digest=digest, publisher=publisher)
                self._events.emit("rejected", digest=digest, reason=reason, publisher=publisher)
            case RememberPeer(peer_id=peer_id, addresses=addresses):
                if dialable := well_formed(addresses):
                    self._database.peers.seen(peer_id, dialable, now=self._clock())
                    self._events.emit("peer_seen", peer_id=peer_id, addresses=dialable)
            case RememberAcquaintance(acquaintance=acquaintance):
                self._database.acquaintances.remember(acquaintance)
            case RememberClaim(peer=peer, groups=groups):
                self._database.partners.claimed(peer, groups, now=self._clock())
            case RememberCredit():
                self._database.credits.claimed(
                    command.peer,
                    people=command.people,
                    groups=command.groups,
                    gain_milli=command.gain_milli,
                    now=self._clock(),
                )
            case TellAnnouncement(envelope=envelope):
                self._network.tell_announcement(envelope)
            case TellStatus(envelope=envelope, with_credits=with_credits):
                self._network.tell(envelope, with_credits)
            case ForgetPeer(peer=peer):
                self._database.acquaintances.forget(peer)
                self._database.pool.remove(peer)
            case NotPublished():
                pass  # `publish` returns it
            case StandingChanged(peer=peer, change=change, why=why):
                self._events.emit("standing", peer_id=peer, change=change, why=why)
            case Verify(record=record):
                self._to_verify.add(record)
            case _:
                self._put(command)

    def _put(self, command: Command) -> None:
        try:
            self._outbox.put_nowait(command)
        except asyncio.QueueFull:
            # Gossip asks again, so a missing answer only costs time.
            what = type(command).__name__
            self._events.emit("warning", message=f"too many commands wait: dropped one {what}")

    async def _keep_ticking(self) -> None:
        while True:
            statistics = self._network.statistics()
            self.encounters.note(statistics.connections)
            if statistics.restarts > self._restarts_seen:
                self._restarts_seen = statistics.restarts
                self._events.emit("network_restarted", restarts=statistics.restarts)
                self.handle(NetworkRestarted())
            if statistics.pauses > self._pauses_seen:
                self._pauses_seen = statistics.pauses
                self._events.emit("warning", message="this machine was asleep or suspended: reconnecting")
                self.handle(Paused())
            self.handle(
                Tick(
                    statistics.connected_peers,
                    statistics.dialable,
                    statistics.connections,
                    statistics.unheard,
                )
            )
            self._changed.clear()
            await self._sleep_until(self._gossip.next_wakeup)

    async def _sleep_until(self, wakeup: float) -> None:
        """Sleep until the wall clock shows `wakeup`, or until something happens that may have changed it."""
        try:
            async with asyncio.timeout(max(0.0, wakeup - self._clock())):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _keep_executing(self) -> None:
        while True:
            command = await self._outbox.get()
            await self._execute(command)
            # Yield once per command: one that waits for nothing and leads to another must not starve the
            # other tasks.
            await asyncio.sleep(0)

    async def _execute(self, command: Command) -> None:
        """Execute one command, which awaits the network once. A transport failure is an answer, not an
        error.
        """
        match command:
            case Pull():
                await self._pull(command)
            case Announce(envelopes=envelopes):
                stored = await self._or(0, self._network.announce(envelopes))
                self._events.emit("published", announced=len(envelopes), stored=stored)
                self.handle(Announced(stored))
            case ReadAnnouncements(keys=keys):
                announced = await self._or(None, self._network.read_announcements(keys))
                self.handle(AnnouncementsRead(tuple(announced or ()), failed=announced is None))
            case ReadStatuses(keys=keys):
                statuses = await self._or(None, self._network.read_statuses(keys))
                self.handle(StatusesRead(tuple(statuses or ()), failed=statuses is None))
            case PublishStatus(envelope=envelope, shards=shards):
                kept = await self._or(True, self._network.publish_status(envelope, shards))
                self.handle(StatusPublished(kept))
            case AskPublisher(peer=peer):
                self.handle(PublisherTold(peer, tuple(await self._told_by(peer))))
            case AskStatus(peer=peer):
                await self._ask_status(peer)
            case StoreBody(envelope=envelope):
                await self._or(False, self._network.store_body(envelope))
            case Connect(addresses=addresses):
                await self._or(0, self._network.connect(well_formed(addresses)))
            case Disconnect(peer=peer):
                await self._or(None, self._network.disconnect(peer))

    async def _or(self, fallback: T, call: Awaitable[T]) -> T:
        """Return the network's answer, or `fallback`, with a warning in the log, if it fails."""
        try:
            return await call
        except NetworkClosedError:
            raise
        except ClockSkewError:
            return fallback  # the daemon reports it as a problem of the network
        except NetworkError as error:
            self._events.emit("warning", message=f"the network did not answer: {error}")
            return fallback

    async def _told_by(self, publisher: PeerId) -> list[bytes]:
        """Ask a publisher for its announcements. Its silence is reported when a pull fails."""
        try:
            return await self._network.announcements_of(publisher)
        except NetworkClosedError:
            raise
        except NetworkError:
            return []

    async def _ask_status(self, peer: PeerId) -> None:
        """Ask a peer for its full status. Silence is not worth reporting: the peer may have left, or run an
        older version.
        """
        try:
            envelope = await self._network.ask_status(peer)
        except NetworkClosedError:
            raise
        except NetworkError:
            self.handle(FullStatusRead(peer, None))
            return
        self.handle(FullStatusRead(peer, envelope))

    async def _pull(self, command: Pull) -> None:
        try:
            pulled = await self._network.pull(command.publisher, command.digest, command.size)
        except NetworkClosedError:
            raise
        except NetworkError as error:
            kind = error.kind if isinstance(error, PullFailedError) else PullFailure.LOCAL
            self.handle(PullFailed(command.digest, str(error), kind))
            return
        self._came[command.digest] = pulled.way
        if len(self._came) > CAME_MAX:
            self._came.popitem(last=False)
        self.handle(BodyArrived(command.digest, pulled.envelope, pulled.way, pulled.address))

    def _settle(self, verified: VerifiedRecord, outcome: Outcome) -> None:
        if isinstance(outcome, RejectedRecord | Overdrawn | Unjudged):
            self.handle(GroupRejected(verified.digest, outcome.reason))
            return
        if not outcome.can_teach and self.verification.panel.judges(outcome.task_id):
            self.handle(GroupRejected(verified.digest, UNJUDGED))
            return
        if self._gossip.standing(verified.publisher) is Standing.BANNED:
            self.handle(GroupRejected(verified.digest, IGNORED))
            return
        self._blobs.put(verified.envelope)  # record first, as in `publish`
        self._database.pool.add(outcome, now=self._clock())
        record = verified.record
        if not is_person(record.model):
            self.failures.see(record.task, record.question_digest, outcome)
        self._events.emit(
            "pulled",
            digest=verified.digest,
            publisher=verified.publisher,
            reward=outcome.mean_reward,
            way=self._came.pop(verified.digest, Way.DIRECT).value,
        )
        self.handle(GroupScored(verified.digest, outcome.can_teach))


def open_exchange(
    key: KeyPair,
    manifest: Manifest,
    *,
    network: Network,
    verification: Verification,
    database: Database,
    blobs: BlobStore,
    events: EventLog,
) -> tuple[Gossip, Exchange]:
    """Build gossip and its exchange on top of opened parts. Starts nothing."""
    gossip = Gossip(
        key=key,
        manifest=manifest,
        rng=random.Random(os.urandom(16)),  # noqa: S311  spreads peers over shards; not secret
        dialable=network.statistics().dialable,
    )
    exchange = Exchange(
        gossip=gossip,
        network=network,
        verification=verification,
        database=database,
        blobs=blobs,
        events=events,
        clock=time.time,
    )
    return gossip, exchange
