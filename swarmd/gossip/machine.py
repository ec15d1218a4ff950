"""The gossip of one peer as a pure state machine: events in, commands out.

It uses no sockets, clock, files or tasks. `now` is Unix time in seconds, and `rng` is its only source of
randomness, so a whole swarm of these machines can be replayed from a seed (tests/sim). It does not score: it
hands over what arrives with `Verify`, and the verdict returns as an event.
"""

from __future__ import annotations

import random
from collections import Counter

from protocol import KeyPair, Manifest, PeerId
from swarmd.gossip.asking import Asking, claims
from swarmd.gossip.clock import ClockWatch
from swarmd.gossip.commands import (
    AskStatus,
    Command,
    PublishStatus,
    ReadAnnouncements,
    ReadStatuses,
    StandingChanged,
    Verify,
)
from swarmd.gossip.contacts import Contacts, Party
from swarmd.gossip.events import (
    AddressesRemembered,
    Announced,
    AnnouncementHeld,
    AnnouncementsRead,
    BodyArrived,
    Demand,
    Event,
    FullStatusRead,
    GroupOffer,
    GroupRejected,
    GroupScored,
    Misbehaved,
    NetworkRestarted,
    OperatorSaid,
    Paused,
    PeersRemembered,
    PublisherTold,
    PullFailed,
    StatusesRead,
    StatusPublished,
    Tick,
    Word,
)
from swarmd.gossip.finding import Finding
from swarmd.gossip.intake import Intake
from swarmd.gossip.limits import GossipLimits, status_shards_in
from swarmd.gossip.membership import STATUSES_PER_READ, Membership, PeerSeen
from swarmd.gossip.misconduct import Misconduct
from swarmd.gossip.namesake import NamesakeWatch
from swarmd.gossip.own_status import OwnStatus
from swarmd.gossip.publishing import Publisher
from swarmd.gossip.pulling import Puller
from swarmd.gossip.reading import Reader
from swarmd.gossip.reputation import Reputation
from swarmd.gossip.shards import ShardCount
from swarmd.gossip.statistics import GossipStatistics, PeerView
from swarmd.gossip.status import StatusIntake
from swarmd.gossip.telling import Telling
from swarmd.network.clocks import clock_problem
from swarmd.network.interface import Misbehaviour, Standing, Way

WAKE_S_MIN = 0.1  # never request more than ten ticks per second


class Gossip:
    """Decides for one peer what to publish, read, pull, verify and drop, and which peers to dial."""

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
        self._contacts = Contacts(limits)
        is_contact = self._contacts.is_contact
        self._reputation = Reputation(limits, is_contact)
        self._publisher = Publisher(key, manifest, limits, dialable=dialable)
        self._shards = ShardCount(manifest, limits)
        self._reader = Reader(swarm, manifest, limits, rng, self._contacts)
        self._intake = Intake(manifest, limits)
        self._puller = Puller(key.peer_id, manifest, limits, self._reputation, self._contacts, rng)
        self._finding = Finding(self._intake, self._reader, self._contacts, self._puller, self._shards)
        self._membership = Membership(swarm, key.peer_id, limits, rng, is_contact)
        self._clock = ClockWatch(limits)
        self._status_intake = StatusIntake(swarm, self._clock, is_contact)
        self._namesake = NamesakeWatch()
        self._asking = Asking(swarm, limits)
        self._telling = Telling(key, manifest, limits, rng, self._namesake)
        self._neighbours = 0
        self._unheard: frozenset[PeerId] = frozenset()
        self._keys_read = 0
        self._wanting = False
        self._misconduct = Misconduct(limits)
        self._now = 0.0

    def handle(self, event: Event, now: float) -> list[Command]:
        """Process one event at Unix time `now` in seconds. Return the commands to execute, in order.

        Raises InvalidLocal for an `OwnStatus` with numbers out of bounds, which is a bug in the caller.
        Nothing that comes from the network makes it raise.
        """
        self._now = now
        if isinstance(event, AnnouncementHeld) and not self._intake.may_take(event.envelope, now):
            return []
        self._start_round(now)
        commands = self._take(event, now)
        if isinstance(event, Tick):
            commands += self._publish_due(now)
        return commands + self._read_due(now) + self._puller.pulls(now)

    @property
    def next_wakeup(self) -> float:
        """Unix time at which the next `Tick` is due, as of the last event."""
        timers = [self._membership.read_timer, self._membership.connect_timer, self._telling.timer]
        longest = self._limits.tick_s_unheard if self._unheard else self._limits.tick_s_max
        wishes = [self._now + longest, *(t.at for t in timers if t.at > self._now)]
        wishes.append(max(self._now + self._limits.announce_batch_s, self._publisher.next_due))
        if self._wanting:
            wishes.append(self._reader.timer.at)
        if len(self._puller.candidates):
            wishes.append(self._now + self._puller.allowance.seconds_to_next())
        return max(self._now + WAKE_S_MIN, min(wishes))

    # Events ----------------------------------------------------------------------------------------

    def _take(self, event: Event, now: float) -> list[Command]:
        puller = self._puller
        match event:
            case Tick():
                return self._tick(event, now)
            case Demand(groups, step_seconds):
                puller.allowance.demand(groups, step_seconds, now)
                self._reader.demand(step_seconds)
            case GroupOffer():
                budget = self._shards.fair_share(
                    self._contacts.size(now), self._manifest.records_per_round_max
                )
                spread_s = self._shards.spread_s
                wait_s = self._rng.uniform(0.0, spread_s) if spread_s else 0.0
                return self._publisher.publish(event, self._shards.publish, budget, now, wait_s)
            case OwnStatus():
                self._telling.own = event
            case AddressesRemembered(peers):
                self._membership.remembered(peers)
            case PeersRemembered(acquaintances, words):
                self._contacts.remembered(acquaintances)
                for peer, word in words.items():
                    self._apply(peer, word)
            case OperatorSaid(peer, word):
                return self._operator(peer, word)
            case Misbehaved(peer, what):
                return self._misbehaviour(peer, what, now)
            case NetworkRestarted():
                self._start_over(now)
            case Paused():
                puller.paused()
                self._start_over(now)
            case StatusPublished(kept):
                self._telling.answered(kept=kept)
            case Announced(stored):
                self._publisher.answered(stored)
            case AnnouncementsRead(envelopes, failed):
                self._finding.read(envelopes, now, failed=failed)
            case AnnouncementHeld(envelope):
                self._finding.held(envelope, now)
            case StatusesRead(failed=True):
                self._membership.failed(now, self._contacts.size(now))
            case StatusesRead(envelopes):
                statuses = self._status_intake.read(envelopes, now)
                for verified in statuses:
                    if verified.publisher == self._key.peer_id:
                        self._namesake.read(verified, now)
                return self._membership.answered(statuses, now, self._contacts.size(now))
            case FullStatusRead(peer, envelope=answer):
                status = self._asking.answered(peer, answer, now)
                if status is None:
                    return []
                self._membership.told(peer, status, now)
                self._clock.observe(peer, status.created, now)
                return claims(self._key.peer_id, peer, status)
            case BodyArrived(digest, envelope, way, address):
                arrived = puller.arrived(digest, envelope, now, way, address)
                if way is Way.INLINE:
                    self._missed(arrived)
                    return arrived
                return arrived + self._finding.to_ask(arrived, now)
            case PublisherTold(peer, envelopes):
                self._finding.told(peer, envelopes, now)
            case PullFailed(digest=digest, kind=kind):
                return puller.failed(digest, kind, now)
            case GroupScored(digest, informative):
                return puller.scored(digest, informative=informative, now=now)
            case GroupRejected(digest, reason):
                return puller.refused(digest, reason, now)
        return []

    def _tick(self, tick: Tick, now: float) -> list[Command]:
        if tick.dialable is not None:
            self._publisher.dialable = tick.dialable
        self._contacts.connected(
            {p: a for p, a in tick.connections.items() if not self._reputation.is_ignored(p, now)}, now
        )
        alone_until_now = self._neighbours == 0 and tick.neighbours > 0
        back, fallen = self._unheard - tick.unheard, tick.unheard - self._unheard
        self._unheard = tick.unheard
        self._neighbours = tick.neighbours
        if alone_until_now:
            self._start_over(now)
        elif back:
            self._puller.back(back)
            self._reader.hurry()
        if fallen and tick.neighbours < STATUSES_PER_READ:
            self._membership.look_again()
        self._membership.expire(now)
        commands: list[Command] = [
            StandingChanged(peer, "forgiven", "time served") for peer in self._reputation.forgiven(now)
        ]
        if asked := self._asking.next(self._contacts.connections, now):
            commands.append(AskStatus(asked))
        dial = self._membership.connect(tick.neighbours, now)
        return [*commands, dial] if dial else commands

    def _missed(self, arrived: list[Command]) -> None:
        """Dial the publishers of bodies that came from the DHT because they did not answer."""
        for command in arrived:
            if isinstance(command, Verify) and command.record.publisher not in self._contacts.connections:
                self._membership.missed(command.record.publisher)

    def _start_over(self, now: float) -> None:
        """Announce everything again and read at once, because what was stored before may be gone or
        unreachable.

        Peers that could not be reached so far were unreachable for the same reason, so their back-offs end.
        """
        self._puller.all_back()
        self._publisher.announce_again(now)
        self._telling.wake()
        self._reader.start_over()
        self._membership.hurry()

    # Judging ---------------------------------------------------------------------------------------

    def _operator(self, peer: PeerId, word: Word) -> list[Command]:
        self._apply(peer, word)
        if word == "ban":
            self._membership.forget(peer)
            self._asking.forget(peer)
            _, *rest = self._puller.judge.turn_away(peer, "banned")
            return [StandingChanged(peer, "banned", "by the operator"), *rest]
        return [StandingChanged(peer, "trusted" if word == "trust" else "unjudged", "by the operator")]

    def _apply(self, peer: PeerId, word: Word) -> None:
        self._contacts.trust(peer, word == "trust")
        match word:
            case "ban":
                self._reputation.ban(peer)
            case "trust":
                self._reputation.trust_always(peer)
            case "none":
                self._reputation.forget(peer)

    def _misbehaviour(self, peer: PeerId, what: Misbehaviour, now: float) -> list[Command]:
        changes = self._misconduct.reported(peer, what, now)
        return changes + self._puller.judge.penalise(peer, what.value, now)

    # Due work --------------------------------------------------------------------------------------

    def _start_round(self, now: float) -> None:
        round_ = self._manifest.round_at(int(now))
        self._publisher.start_round(round_)
        self._shards.update(round_, self._contacts.size(now), self._publisher.per_round)

    def _publish_due(self, now: float) -> list[Command]:
        batch = self._publisher.batch(now)
        return [*([batch] if batch else []), *self._telling.due(now, self._contacts.size(now))]

    def goodbye(self, now: float) -> PublishStatus | None:
        """Return this peer's last status, to be published when it leaves; None if it published none yet."""
        return self._telling.goodbye(now)

    def _read_due(self, now: float) -> list[Command]:
        commands: list[Command] = []
        if self._reader.due(now):
            missing = self._finding.missing(now)
            self._wanting = missing > 0
            if keys := self._reader.keys(missing, self._shards.publish, now):
                self._keys_read += len(keys)
                commands.append(ReadAnnouncements(keys))
        members = self._membership.keys(now, status_shards_in(self._contacts.size(now)))
        if members:
            commands.append(ReadStatuses(members))
        return commands

    # Inspection ------------------------------------------------------------------------------------

    def statistics(self) -> GossipStatistics:
        """Return an immutable snapshot as of the last event."""
        now, puller, publisher = self._now, self._puller, self._publisher
        offset = self._clock.offset_s(now)
        return GossipStatistics(
            round=self._manifest.round_at(int(now)),
            swarm_size=self._contacts.size(now),
            neighbours=self._neighbours,
            peers=self._views(now),
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
            junk=sum(
                (Counter(of.junk) for of in (self._intake, self._status_intake, self._asking)),
                Counter(),
            ),
            announcement_keys_read=self._keys_read,
            ignored=tuple(self._reputation.ignored(now)),
            trusted=tuple(sorted(self._reputation.trusted)),
            left=self._membership.left(),
            points_lost=dict(self._reputation.lost),
            misbehaved=dict(self._misconduct.counts),
            clock_offset_s=offset,
            problems=(
                *((clock_problem(offset, "most peers that publish"),) if offset is not None else ()),
                *self._namesake.problems(now),
            ),
        )

    def standing(self, peer: PeerId) -> Standing:
        """Return how well `peer` is known, as of the last event."""
        if self._reputation.is_ignored(peer, self._now):
            return Standing.BANNED
        return self._contacts.standing(peer, self._now)

    def party(self, peer: PeerId) -> Party:
        """Return the party whose turns the groups of `peer` share, as of the last event."""
        return self._contacts.party(peer, self._now, proved=True)

    def met_lately(self) -> bool:
        """Whether a met or known peer delivered recently, as of the last event."""
        return self._contacts.met_lately(self._now)

    def trust(self, peer: PeerId) -> float:
        """Return the trust in the groups of `peer`, as of the last event: from 0 (ignored) to 1."""
        return self._reputation.trust(peer, self._now)

    def _views(self, now: float) -> tuple[PeerView, ...]:
        """Return peers whose status was read, contacts, and peers that lost points, best known first."""
        seen = {found.peer_id: found for found in self._membership.peers()}
        peers = {*seen, *self._contacts.current(now), *self._reputation.judged()} - {self._key.peer_id}
        views = [self._view(peer, seen.get(peer), now) for peer in peers]
        views.sort(key=lambda view: (-view.standing, -view.groups_taught, view.peer_id))
        return tuple(views[: self._limits.peers_max])

    def _view(self, peer: PeerId, seen: PeerSeen | None, now: float) -> PeerView:
        acquaintance, told = self._contacts.acquaintance(peer), self._asking.told(peer)
        standing = self.standing(peer)
        return PeerView(
            peer_id=peer,
            status=None if seen is None else seen.status,
            age_s=None if seen is None else max(0.0, now - seen.status.created),
            groups_pulled=self._puller.pulled_from(peer),
            groups_taught=0 if acquaintance is None else acquaintance.groups,
            standing=standing,
            trust=self._reputation.trust(peer, now),
            points_lost=self._reputation.reasons(peer),
            used={} if told is None else {PeerId(use.publisher): use.groups for use in told.status.used},
            on_trial=standing is Standing.MET and self._contacts.party(peer, now, proved=True).on_trial,
        )
