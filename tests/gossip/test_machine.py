"""The machine as a whole: whatever happens to it, it never raises and never outgrows its bounds."""

from __future__ import annotations

import random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol import digest_of, sign_record
from swarmd import gossip as g
from swarmd.network.interface import Misbehaviour, PullFailure, Standing, Way
from tests.gossip.making import (
    START,
    address_of,
    announce,
    key,
    make_group,
    make_manifest,
    make_own_status,
    make_record,
    make_status,
)

MANIFEST = make_manifest(records_per_round_max=6)
LIMITS = g.GossipLimits(
    candidates_max=6,
    candidates_per_peer=3,
    pulls_max=3,
    verifying_max=4,
    seen_max=20,
    peers_max=4,
    addresses_max=5,
    peers_judged_max=3,
    acquaintances_max=3,
    connected_per_group=2,
    known_groups=2,
    known_after_s=60.0,
    clock_peers_max=4,
    keys_remembered=10,
)
WAYS = [(Way.INLINE, None), (Way.DIRECT, None), (Way.DIRECT, "/ip4/10.0.0.1/tcp/1"), (Way.DIRECT, "nonsense")]
peers = st.integers(0, 5)
digests = st.binary(min_size=32, max_size=32)


class AnyOrder(RuleBasedStateMachine):
    """Events in any order with any timing, honest, late, repeated, forged or nonsense."""

    @initialize(seed=st.integers(0, 99), dialable=st.booleans())
    def begin(self, seed: int, dialable: bool) -> None:
        self.gossip = g.Gossip(
            key=key(0), manifest=MANIFEST, rng=random.Random(seed), limits=LIMITS, dialable=dialable
        )
        self.now = START
        self.number = 0
        self.bodies: dict[bytes, bytes] = {}
        self.announced: list[bytes] = []
        self.pulled: list[bytes] = [b"\0" * 32]
        self.tell(g.Tick(0))

    def tell(self, event: g.Event) -> None:
        for command in self.gossip.handle(event, self.now):
            match command:
                case g.Pull(publisher, digest, size):
                    assert publisher != key(0).peer_id
                    assert 0 < size <= 65_536
                    self.pulled.append(digest)
                case g.ReadAnnouncements(keys):
                    assert 0 < len(keys) <= LIMITS.read_keys_max
                case g.ReadStatuses(keys):
                    assert 0 < len(keys) <= LIMITS.membership_keys_max
                case g.Connect(addresses):
                    assert 0 < len(addresses) <= 8 * LIMITS.connect_peers_max
                case g.Announce(envelopes):
                    assert envelopes

    @rule(seconds=st.floats(-2_000, 4_000), neighbours=st.integers(0, 9))
    def time_passes_or_jumps(self, seconds: float, neighbours: int) -> None:
        self.now = max(START - 5_000, self.now + seconds)
        self.tell(g.Tick(neighbours))

    @rule(connected=st.lists(peers, max_size=6), hosts=st.integers(1, 4))
    def connections_change(self, connected: list[int], hosts: int) -> None:
        found = {key(n).peer_id: f"/ip4/10.0.0.{n % hosts}/tcp/1" for n in connected}
        self.tell(g.Tick(len(found), connections=found))

    @rule(number=peers, word=st.sampled_from(["ban", "trust", "none"]))
    def the_operator_says(self, number: int, word: g.Word) -> None:
        self.tell(g.OperatorSaid(key(number).peer_id, word))
        if word == "ban":
            assert self.gossip.standing(key(number).peer_id) is Standing.BANNED
        if word == "trust":
            assert self.gossip.standing(key(number).peer_id) is Standing.KNOWN

    @rule(number=peers, what=st.sampled_from(Misbehaviour))
    def misbehaved(self, number: int, what: Misbehaviour) -> None:
        self.tell(g.Misbehaved(key(number).peer_id, what))

    @rule(neighbours=st.integers(0, 9))
    def the_tick_it_asked_for(self, neighbours: int) -> None:
        self.now = self.gossip.next_wakeup
        self.tell(g.Tick(neighbours))

    @rule(groups=st.integers(0, 50), seconds=st.floats(0, 1000))
    def demand(self, groups: int, seconds: float) -> None:
        self.tell(g.Demand(groups, seconds))

    @rule(rewards=st.lists(st.floats(0, 1), min_size=2, max_size=8))
    def own_group(self, rewards: list[float]) -> None:
        self.number += 1
        self.tell(make_group(MANIFEST, self.number, rewards))

    @rule(step=st.integers(0, 10**9))
    def own_status(self, step: int) -> None:
        self.tell(make_own_status(key(0), step))

    @rule(known=st.lists(peers, max_size=8))
    def addresses_remembered(self, known: list[int]) -> None:
        self.tell(g.AddressesRemembered(tuple((key(n).peer_id, (address_of(key(n)),)) for n in known)))

    @rule()
    def network_restarted(self) -> None:
        self.tell(g.NetworkRestarted())

    @rule(stored=st.integers(0, 5))
    def announced_or_not(self, stored: int) -> None:
        self.tell(g.Announced(stored))

    @rule(
        signers=st.lists(peers, max_size=12),
        rate=st.integers(0, 1000),
        junk=st.lists(st.binary(max_size=600), max_size=3),
        again=st.booleans(),
    )
    def announcements_read(self, signers: list[int], rate: int, junk: list[bytes], again: bool) -> None:
        if self.now < MANIFEST.genesis:
            signers = []
        for signer in signers:
            self.number += 1
            record = make_record(MANIFEST, self.number, self.now)
            body = sign_record(key(signer), record)
            envelope = announce(key(signer), record, body, pass_rate_milli=rate)
            self.announced.append(envelope)
            self.bodies[digest_of(body)] = body
        self.announced = self.announced[-40:]
        self.tell(g.AnnouncementsRead((*self.announced[-len(signers) or None :], *junk)))
        if again:
            self.tell(g.AnnouncementsRead(tuple(self.announced)))

    @rule(signers=st.lists(peers, max_size=8), age=st.integers(-4_000, 4_000), junk=st.binary(max_size=600))
    def statuses_read(self, signers: list[int], age: int, junk: bytes) -> None:
        created = max(MANIFEST.genesis, self.now - age)
        envelopes = tuple(make_status(MANIFEST, key(n), created) for n in signers)
        self.tell(g.StatusesRead((*envelopes, junk)))

    @rule(data=st.data(), right=st.booleans(), junk=st.binary(max_size=900))
    def body_arrived(self, data: st.DataObject, right: bool, junk: bytes) -> None:
        digest = data.draw(st.sampled_from(self.pulled[-10:]))
        way, address = data.draw(st.sampled_from([*WAYS]))
        body = self.bodies.get(digest, junk) if right else junk
        self.tell(g.BodyArrived(digest, body, way, address))

    @rule(data=st.data())
    def pull_failed(self, data: st.DataObject) -> None:
        kind = data.draw(st.sampled_from(PullFailure))
        self.tell(g.PullFailed(data.draw(st.sampled_from(self.pulled[-10:])), kind.value, kind))

    @rule(data=st.data(), informative=st.booleans())
    def group_scored(self, data: st.DataObject, informative: bool) -> None:
        self.tell(g.GroupScored(data.draw(st.sampled_from(self.pulled[-10:])), informative))

    @rule(data=st.data(), reason=st.sampled_from(["question", "version", "scorer", "held_out", "anything"]))
    def group_rejected(self, data: st.DataObject, reason: str) -> None:
        self.tell(g.GroupRejected(data.draw(st.sampled_from(self.pulled[-10:])), reason))

    @invariant()
    def within_bounds(self) -> None:
        seen = self.gossip.statistics()
        assert seen.candidates <= LIMITS.candidates_max
        assert seen.pulls_in_flight <= LIMITS.pulls_max
        assert seen.pulls_in_flight + seen.verifying <= LIMITS.verifying_max
        assert len(seen.peers) <= LIMITS.peers_max
        assert sum(found.seconds_left is not None for found in seen.ignored) <= LIMITS.peers_judged_max
        assert seen.shards in {1, 2, 4, 8, 16, 32, 64}
        assert 0 < self.gossip.next_wakeup - self.now <= LIMITS.tick_s_max
        for table, most in self.tables():
            assert len(table) <= most

    def tables(self):
        """Everything in the machine that could grow, with its bound."""
        gossip = self.gossip
        return [
            (gossip._puller._seen, LIMITS.seen_max),
            (gossip._puller._offered, LIMITS.seen_max),
            (gossip._puller._pulled_from, LIMITS.peers_max),
            (gossip._intake._known, LIMITS.seen_max),
            (gossip._reader._finished, LIMITS.keys_remembered),
            (gossip._membership._addresses, LIMITS.addresses_max),
            (gossip._reputation._accounts, LIMITS.peers_judged_max),
            (gossip._puller._back_offs, LIMITS.peers_max),
            (gossip._puller._overdrawn, LIMITS.peers_max),
            (gossip._membership._peers, LIMITS.peers_max),
            (gossip._membership._told, LIMITS.addresses_max),
            (gossip._contacts._acquaintances, LIMITS.acquaintances_max),
            (gossip._contacts._lately, LIMITS.acquaintances_max),
            (gossip._contacts._connected, 8 * LIMITS.connected_per_group),
            (gossip._contacts._widths, 2 * LIMITS.acquaintances_max + 1),
            (gossip._intake._refused, LIMITS.seen_max),
            (gossip._misconduct._told, LIMITS.peers_judged_max),
            (gossip._clock._heard, LIMITS.clock_peers_max),
            (gossip._publisher._recent, 4_096),
            (gossip._publisher._waiting, 4_096),
        ]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=40)
