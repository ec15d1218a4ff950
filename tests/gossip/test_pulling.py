"""External groups: which are pulled, how many, and what becomes of them."""

from __future__ import annotations

import random

import pytest

from protocol import KeyPair, PeerId, sign_record, verify_announcement
from swarmd.gossip import GossipLimits
from swarmd.gossip.commands import Drop, Pull, Verify
from swarmd.gossip.contacts import Contacts
from swarmd.gossip.pulling import Puller
from swarmd.gossip.reputation import Reputation
from swarmd.network.interface import PullFailure, Way
from tests.gossip.making import START, announce, announced_record, key, make_manifest, make_record

MANIFEST = make_manifest()
ROUND = MANIFEST.round_at(START)
OWN = key(0)


class Hand:
    """A puller with generous demand, and the bodies of what it was offered."""

    def __init__(self, limits: GossipLimits | None = None, *, demand: int = 100) -> None:
        self.limits = limits or GossipLimits()
        self.reputation = Reputation(self.limits)
        self.contacts = Contacts(self.limits)
        self.puller = Puller(
            OWN.peer_id, MANIFEST, self.limits, self.reputation, self.contacts, random.Random(1)
        )
        self.puller.allowance.demand(demand, 1.0, START)
        self.bodies: dict[bytes, bytes] = {}

    def offer(self, signer: KeyPair, number: int, now: float = START, **changes: object) -> bool:
        announced, body = announced_record(MANIFEST, signer, number, now, **changes)
        self.bodies[announced.announcement.digest] = body
        return bool(self.puller.offer_all([announced], now))

    def deliver(self, pull: Pull, now: float = START, way: Way = Way.INLINE, address: str = "") -> list:
        return self.puller.arrived(pull.digest, self.bodies[pull.digest], now, way, address)

    def teach(self, pull: Pull, now: float = START, way: Way = Way.INLINE, address: str = "") -> list:
        """The body of `pull` arrives and teaches something."""
        self.deliver(pull, now, way, address)
        return self.puller.scored(pull.digest, informative=True, now=now)

    def fail(self, pull: Pull, kind: PullFailure = PullFailure.UNREACHABLE, now: float = START) -> list:
        return self.puller.failed(pull.digest, kind, now)


def test_an_announced_group_is_pulled_verified_and_accepted():
    hand = Hand()
    assert hand.offer(key(1), 1)
    (pull,) = hand.puller.pulls(START)
    assert pull.publisher == key(1).peer_id
    (verify,) = hand.deliver(pull)
    assert isinstance(verify, Verify)
    assert verify.record.publisher == key(1).peer_id
    (remember,) = hand.puller.scored(pull.digest, informative=True, now=START)
    assert (remember.acquaintance.peer_id, remember.acquaintance.groups) == (key(1).peer_id, 1)
    assert (hand.puller.pulled, hand.puller.accepted) == (1, 1)
    assert hand.puller.pulled_from(key(1).peer_id) == 1


def test_what_is_not_worth_a_pull_is_not_offered_twice_or_at_all():
    hand = Hand()
    assert not hand.offer(OWN, 1), "our own"
    assert not hand.offer(key(1), 2, pass_rate_milli=0), "nobody solved it"
    assert not hand.offer(key(1), 3, pass_rate_milli=1000), "everybody solved it"
    assert not hand.offer(key(1), 4, task_id=bytes(16)), "not a task of this swarm"
    assert hand.offer(key(1), 5)
    assert not hand.offer(key(1), 5), "known"
    assert len(hand.puller.pulls(START)) == 1


def test_an_expired_candidate_is_forgotten():
    hand = Hand()
    hand.offer(key(1), 1)
    assert hand.puller.pulls(START + 400) == []
    assert len(hand.puller.candidates) == 0


def test_the_trainers_pace_bounds_the_pulls():
    hand = Hand(demand=2)
    for number in range(16):
        hand.offer(key(number), number)
    first = hand.puller.pulls(START)
    assert len(first) == 4, "twice two groups a step, saved up from the start"
    assert hand.puller.pulls(START) == []
    assert len(hand.puller.pulls(START + 0.5)) == 2


def test_without_demand_nothing_is_pulled_or_missing():
    hand = Hand(demand=0)
    hand.offer(key(1), 1)
    assert hand.puller.pulls(START + 60) == []
    assert hand.puller.missing(5, START + 60) <= 0


def test_pulls_at_once_are_bounded_in_all_and_per_peer():
    hand = Hand(GossipLimits(pulls_max=5, pulls_per_peer=2))
    for number in range(8):
        hand.offer(key(1), number)
    assert len(hand.puller.pulls(START)) == 2
    for number in range(2, 10):
        hand.offer(key(number), 100 + number)
    assert len(hand.puller.pulls(START)) == 3
    assert hand.puller.in_flight == 5


def test_publishers_that_may_be_gone_leave_places_for_those_that_are_connected():
    hand = Hand(GossipLimits(pulls_max=8))
    here = [key(number) for number in range(1, 4)]
    hand.contacts.connected({peer.peer_id: f"/ip4/192.0.2.{n}/tcp/1" for n, peer in enumerate(here)}, START)
    for peer in here:
        hand.offer(peer, 1)
    for pull in hand.puller.pulls(START):
        hand.teach(pull, way=Way.DIRECT, address="/ip4/192.0.2.1/tcp/1")
    gone = [key(number) for number in range(10, 30)]
    for peer in gone:
        hand.contacts.delivered(peer.peer_id, Way.DIRECT, "/ip4/198.51.100.1/tcp/1", START)
        hand.offer(peer, 2)
    assert len(hand.puller.pulls(START)) == 4
    for peer in here:
        hand.offer(peer, 3)
    assert {pull.publisher for pull in hand.puller.pulls(START)} == {peer.peer_id for peer in here}


def test_a_slow_sandbox_slows_the_pulls():
    hand = Hand(GossipLimits(verifying_max=3))
    for number in range(1, 9):
        hand.offer(key(number), number)
    for pull in hand.puller.pulls(START):
        hand.deliver(pull)
    assert hand.puller.verifying == 3
    assert hand.puller.pulls(START) == []
    assert len(hand.puller.pulls(START + 601)) == 0, "everything announced has expired by then"
    assert hand.puller.verifying == 0, "and verdicts that never came are forgotten"


def test_one_peer_gets_its_share_while_others_have_something():
    hand = Hand(GossipLimits(pulls_max=1))
    for number in range(16):
        hand.offer(key(1), number)
    for peer in range(2, 14):
        hand.offer(key(peer), 100 + peer)
    publishers: list[PeerId] = []
    for _ in range(16):
        (pull,) = hand.puller.pulls(START)
        publishers.append(pull.publisher)
        hand.deliver(pull)
    assert publishers.count(key(1).peer_id) <= 4


def test_a_flood_fills_only_its_own_place():
    hand = Hand(GossipLimits(candidates_max=20, candidates_per_peer=8))
    for number in range(50):
        hand.offer(key(1), number)
    assert len(hand.puller.candidates) == 8
    for peer in range(2, 30):
        hand.offer(key(peer), 100 + peer)
    assert len(hand.puller.candidates) == 20


def test_what_exceeds_the_manifests_limit_in_a_round_is_ignored():
    manifest_limit = MANIFEST.records_per_round_max
    hand = Hand()
    taken = sum(hand.offer(key(1), number) for number in range(manifest_limit + 10))
    assert taken == manifest_limit
    assert hand.offer(key(1), 999, START + MANIFEST.round_seconds)


def test_a_failed_pull_is_tried_once_more_and_then_dropped():
    hand = Hand()
    hand.offer(key(1), 1)
    (pull,) = hand.puller.pulls(START)
    assert hand.fail(pull) == []
    assert hand.puller.pulls(START + 1) == [], "not at once"
    (again,) = hand.puller.pulls(START + 6)
    assert again == pull
    assert hand.fail(pull, now=START + 6) == [Drop(pull.digest, "pull", key(1).peer_id)]
    assert not hand.offer(key(1), 1)


def test_a_pull_that_was_never_answered_frees_its_place():
    hand = Hand(GossipLimits(pulls_max=1))
    hand.offer(key(1), 1)
    hand.offer(key(2), 2)
    (first,) = hand.puller.pulls(START)
    (second,) = hand.puller.pulls(START + 61)
    assert first.publisher != second.publisher
    assert hand.deliver(first, START + 62) == [], "too late: nobody waits for it"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda body: body + b"x", "digest"),
        (lambda body: b"", "digest"),
        (lambda body: bytes(70_000), "size"),
    ],
)
def test_a_body_other_than_announced_is_dropped_with_the_reason(spoil, reason: str):
    hand = Hand()
    hand.offer(key(1), 1)
    (pull,) = hand.puller.pulls(START)
    (drop,) = hand.puller.arrived(pull.digest, spoil(hand.bodies[pull.digest]), START)
    assert drop == Drop(pull.digest, reason, key(1).peer_id)
    assert hand.puller.rejected == {reason: 1}


def test_a_record_announced_by_another_than_its_author_is_dropped_and_the_authors_own_word_still_counts():
    hand = Hand()
    record = make_record(MANIFEST, 1, START)
    body = sign_record(key(1), record)
    stolen = verify_announcement(announce(key(2), record, body), manifest=MANIFEST, now=START)
    true = verify_announcement(announce(key(1), record, body), manifest=MANIFEST, now=START)
    assert hand.puller.offer(stolen, START)
    (pull,) = hand.puller.pulls(START)
    assert hand.puller.offer(true, START)
    assert hand.puller.pulls(START) == [], "one pull of a digest at a time"
    assert hand.puller.arrived(pull.digest, body, START) == [Drop(pull.digest, "publisher", key(2).peer_id)]
    (pull,) = hand.puller.pulls(START)
    (verify,) = hand.puller.arrived(pull.digest, body, START)
    assert isinstance(verify, Verify)


@pytest.mark.parametrize(
    "changes", [{"round": ROUND - 1}, {"size": 7}, {"task_id": MANIFEST.tasks[2].task_id}]
)
def test_an_announcement_that_misdescribes_its_record_counts_against_its_publisher(changes):
    hand = Hand()
    hand.offer(key(1), 1, **changes)
    (pull,) = hand.puller.pulls(START)
    (drop,) = hand.deliver(pull)
    assert drop.reason in {"topic", "size"}


def test_after_two_lies_a_peer_is_ignored_and_what_waits_of_it_is_forgotten():
    hand = Hand()
    for number in range(6):
        hand.offer(key(1), number)
    for pull in hand.puller.pulls(START):
        hand.deliver(pull)
        hand.puller.refused(pull.digest, "question", START)
    assert hand.reputation.is_ignored(key(1).peer_id, START + 1)
    assert len(hand.puller.candidates) == 0
    assert not hand.offer(key(1), 77)


@pytest.mark.parametrize("reason", ["version", "expired", "clock"])
def test_what_may_be_our_own_fault_counts_against_nobody(reason: str):
    hand = Hand(GossipLimits(pulls_per_peer=10))
    for number in range(6):
        hand.offer(key(1), number)
    for pull in hand.puller.pulls(START):
        hand.deliver(pull)
        assert hand.puller.refused(pull.digest, reason, START) == [Drop(pull.digest, reason, key(1).peer_id)]
    assert not hand.reputation.is_ignored(key(1).peer_id, START)


@pytest.mark.parametrize(("reason", "at"), [("completion", 2), ("scorer", 6), ("overdrawn", None)])
def test_groups_that_hang_the_scorer_are_lies_and_slow_ones_may_be_this_machines_fault(
    reason: str, at: int | None
):
    hand = Hand(GossipLimits(pulls_per_peer=10))
    for number in range(7):
        hand.offer(key(1), number)
    ignored = []
    for pull in hand.puller.pulls(START):
        hand.deliver(pull)
        hand.puller.refused(pull.digest, reason, START)
        ignored.append(hand.reputation.is_ignored(key(1).peer_id, START))
    assert ignored.index(True) + 1 == at if at else not any(ignored)


def test_nothing_is_pulled_from_an_overdrawn_publisher_for_a_while_though_more_of_it_arrives():
    hand = Hand(GossipLimits(pulls_per_peer=2))
    for number in range(4):
        hand.offer(key(1), number)
    first, second = hand.puller.pulls(START)
    hand.deliver(first)
    hand.puller.refused(first.digest, "overdrawn", START)
    hand.deliver(second)
    assert hand.puller.pulls(START + 1) == []
    assert len(hand.puller.pulls(START + 30)) > 0


def test_a_promised_lesson_that_teaches_nothing_counts_less_than_a_lie():
    hand = Hand(GossipLimits(pulls_per_peer=10))
    for number in range(4):
        hand.offer(key(1), number)
    ignored = []
    for pull in hand.puller.pulls(START):
        hand.deliver(pull)
        drop, *_ = hand.puller.scored(pull.digest, informative=False, now=START)
        assert drop.reason == "uninformative"
        ignored.append(hand.reputation.is_ignored(key(1).peer_id, START))
    assert ignored == [False, False, False, True]
