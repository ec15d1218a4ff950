"""The gossip of one peer as a pure state machine: events in, commands out.

It knows no sockets, no clock, no files and no tasks; `now` is unix time in seconds and `rng` its only
source of chance, so a whole swarm of these replays from a seed (tests/sim). It does not score: what
arrives is handed over with `Verify`, and the verdict comes back as an event.
"""

from __future__ import annotations

import random
from collections import Counter

from protocol import KeyPair, Manifest, PeerId
from swarmd.gossip.clock import ClockWatch
from swarmd.gossip.events import (
    AddressesRemembered,
    Announced,
    AnnouncementsRead,
    BodyArrived,
    Command,
    Demand,
    Event,
    GroupRejected,
    GroupScored,
    NetworkRestarted,
    OwnGroup,
    OwnStatus,
    PublishStatus,
    PullFailed,
    ReadAnnouncements,
    ReadStatuses,
    StatusesRead,
    Tick,
)
from swarmd.gossip.intake import Intake
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.membership import Membership, PeerSeen
from swarmd.gossip.publishing import Publisher
from swarmd.gossip.pulling import Puller
from swarmd.gossip.reading import Reader
from swarmd.gossip.reputation import Reputation
from swarmd.gossip.shards import ShardCount
from swarmd.gossip.statistics import GossipStatistics, PeerView
from swarmd.gossip.status import StatusIntake, sign_own_status
from swarmd.gossip.timer import Timer
from swarmd.network.interface import Standing

WAKE_S_MIN = 0.1  # never asks for more than ten ticks a second


class Gossip:
    """What to publish, read, pull, hand over, drop and whom to dial, for one peer of one swarm."""

    def __init__(
        self,
        *,
        key: KeyPair,
        manifest: Manifest,
        rng: random.Random,
        limits: GossipLimits | None = None,
        dialable: bool = True,
    ) -> None:
        limits = limits or GossipLimits()
        swarm = manifest.swarm_id
        self._key = key
        self._manifest = manifest
        self._limits = limits
        self._rng = rng
        self._reputation = Reputation(limits)
        self._publisher = Publisher(key, manifest, limits, dialable=dialable)
        self._shards = ShardCount(manifest, limits)
        self._reader = Reader(swarm, manifest, limits, rng)
        self._intake = Intake(manifest, limits)
        self._puller = Puller(key.peer_id, manifest, limits, self._reputation, rng)
        self._membership = Membership(swarm, key.peer_id, limits, rng)
        self._clock = ClockWatch(limits)
        self._status_intake = StatusIntake(swarm, self._clock)
        self._own_status: OwnStatus | None = None
        self._status_timer = Timer()
        self._neighbours = 0
        self._keys_read = 0
        self._now = 0.0

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take one event at unix time `now` in seconds; returns what is to be done, in order.

        Raises InvalidLocal for an `OwnStatus` with numbers out of bounds: a bug of the caller's.
        Nothing that comes from the network makes it raise.
        """
        self._now = now
        self._start_round(now)
        commands = self._take(event, now)
        if isinstance(event, Tick):
            commands += self._publish_due(now)
        return commands + self._read_due(now) + self._puller.pulls(now)

    @property
    def next_wakeup(self) -> float:
        """Unix time at which the next `Tick` is due, as of the last event."""
        timers = [self._membership.read_timer, self._membership.connect_timer, self._status_timer]
        wishes = [self._now + self._limits.tick_s_max, *(t.at for t in timers if t.at > self._now)]
        if self._publisher.has_waiting:
            wishes.append(self._now + self._limits.announce_batch_s)
        if self._missing(self._now) > 0:
            wishes.append(self._reader.timer.at)
        if len(self._puller.candidates):
            wishes.append(self._now + self._puller.allowance.seconds_to_next())
        return max(self._now + WAKE_S_MIN, min(wishes))

    # Events ----------------------------------------------------------------------------------------

    def _take(self, event: Event, now: float) -> list[Command]:
        puller = self._puller
        match event:
            case Tick(neighbours=neighbours, dialable=dialable):
                if dialable is not None:
                    self._publisher.dialable = dialable
                return self._tick(neighbours, now)
            case Demand(groups, step_seconds):
                puller.allowance.demand(groups, step_seconds, now)
            case OwnGroup():
                budget = self._shards.fair_share(
                    self._membership.swarm_size(), self._manifest.records_per_round_max
                )
                return self._publisher.publish(event, self._shards.publish, budget, now)
            case OwnStatus():
                self._own_status = event
            case AddressesRemembered(peers):
                self._membership.remembered(peers)
            case NetworkRestarted():
                self._start_over(now)
            case Announced(stored):
                self._publisher.answered(stored)
            case AnnouncementsRead(envelopes):
                self._announcements(envelopes, now)
            case StatusesRead(envelopes):
                return self._membership.answered(self._status_intake.read(envelopes, now), now)
            case BodyArrived(digest=digest, envelope=envelope):
                return puller.arrived(digest, envelope, now)
            case PullFailed(digest=digest):
                return puller.failed(digest, now)
            case GroupScored(digest, informative):
                return puller.scored(digest, informative=informative, now=now)
            case GroupRejected(digest, reason):
                return puller.refused(digest, reason, now)
        return []

    def _tick(self, neighbours: int, now: float) -> list[Command]:
        alone_until_now = self._neighbours == 0 and neighbours > 0
        self._neighbours = neighbours
        if alone_until_now:
            self._start_over(now)
        self._membership.expire(now)
        dial = self._membership.connect(neighbours, now)
        return [dial] if dial else []

    def _start_over(self, now: float) -> None:
        """What was stored before may be gone or out of everybody's sight: say it again, and look around."""
        self._publisher.announce_again(now)
        self._status_timer.wake()
        self._reader.hurry()
        self._membership.hurry()

    def _announcements(self, envelopes: tuple[bytes, ...], now: float) -> None:
        new, loads = self._intake.read(envelopes, self._reader.topics_read(), now)
        for topic, load in loads.items():
            self._shards.observe(topic.shard, load)
        self._reader.answered(sum(self._puller.offer(announced, now) for announced in new), now)

    # What is due -----------------------------------------------------------------------------------

    def _start_round(self, now: float) -> None:
        round_ = self._manifest.round_at(int(now))
        self._publisher.start_round(round_)
        self._shards.update(round_, self._membership.swarm_size(), self._publisher.per_round)

    def _publish_due(self, now: float) -> list[Command]:
        commands: list[Command] = []
        batch = self._publisher.batch(now)
        if batch:
            commands.append(batch)
        if self._own_status is not None and self._status_timer.due(now):
            pause = self._limits.status_interval_s * self._rng.uniform(0.75, 1.25)  # no two peers in step
            self._status_timer.rest(now, pause)
            envelope = sign_own_status(self._key, self._manifest, self._limits, self._own_status, now)
            commands.append(PublishStatus(envelope))
        return commands

    def _read_due(self, now: float) -> list[Command]:
        commands: list[Command] = []
        keys = self._reader.keys(self._missing(now), self._shards.read, now)
        if keys:
            self._keys_read += len(keys)
            commands.append(ReadAnnouncements(keys))
        members = self._membership.keys(now)
        if members:
            commands.append(ReadStatuses(members))
        return commands

    def _missing(self, now: float) -> int:
        return self._puller.missing(self._membership.swarm_size() - 1, now)

    # Looking in ------------------------------------------------------------------------------------

    def statistics(self) -> GossipStatistics:
        """An immutable snapshot as of the last event."""
        now, puller, publisher = self._now, self._puller, self._publisher
        offset = self._clock.offset_s(now)
        return GossipStatistics(
            round=self._manifest.round_at(int(now)),
            swarm_size=self._membership.swarm_size(),
            neighbours=self._neighbours,
            peers=tuple(self._view(seen, now) for seen in self._membership.peers()),
            shards=self._shards.publish,
            groups_published=publisher.published,
            groups_unpublished=publisher.unpublished,
            last_invalid=publisher.last_invalid,
            announcements_stored=publisher.announced,
            candidates=len(puller.candidates),
            pulls_in_flight=puller.in_flight,
            verifying=puller.verifying,
            groups_pulled=puller.pulled,
            groups_accepted=puller.accepted,
            groups_rejected=puller.rejected,
            junk=Counter(self._intake.junk) + Counter(self._status_intake.junk),
            announcement_keys_read=self._keys_read,
            ignored_peers=self._reputation.ignored(now),
            clock_offset_s=offset,
            problems=(_clock_problem(offset),) if offset is not None else (),
        )

    def standing(self, peer: PeerId) -> Standing:
        """How well `peer` is known, as of the last event."""
        return Standing.BANNED if self._reputation.is_ignored(peer, self._now) else Standing.STRANGER

    def trust(self, peer: PeerId) -> float:
        """In the groups of `peer`, as of the last event: from 0 (ignored) to 1."""
        return self._reputation.trust(peer, self._now)

    def _view(self, seen: PeerSeen, now: float) -> PeerView:
        return PeerView(
            peer_id=seen.peer_id,
            status=seen.status,
            age_s=max(0.0, now - seen.status.created),
            groups_pulled=self._puller.pulled_from(seen.peer_id),
            ignored=self._reputation.is_ignored(seen.peer_id, now),
        )


def _clock_problem(offset: float) -> str:
    way = "behind" if offset > 0 else "ahead of"
    return (
        f"this machine's clock is about {abs(offset):.0f} s {way} the swarm's: "
        "set it (NTP), or other peers will refuse what this one shares"
    )
