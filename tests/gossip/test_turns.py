"""Turns go to parties, however many names a party has."""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from hypothesis import given
from hypothesis import strategies as st

from protocol import PeerId
from swarmd.gossip import GossipLimits
from swarmd.gossip.candidates import Candidate, Candidates
from swarmd.gossip.contacts import Party
from swarmd.gossip.turns import STRANGERS_SAVED_MAX, StrangersShare, allot, next_parties
from swarmd.network.interface import PullFailure, Standing, Way
from tests.gossip.making import START, announced_record, key, make_manifest
from tests.gossip.test_pulling import Hand

KNOWN, MET, STRANGER = (Party(s.name, s) for s in (Standing.KNOWN, Standing.MET, Standing.STRANGER))
HONEST = "/ip4/10.0.0.1/tcp/4001"


def turn(parties: list[Party], rng: random.Random) -> Party:
    return rng.choice(next_parties(parties, rng))


@given(
    places=st.integers(0, 40),
    available=st.dictionaries(st.integers(0, 9), st.integers(0, 20), max_size=9),
    seed=st.integers(0, 99),
)
def test_places_are_dealt_in_turns_and_none_is_lost(places: int, available: dict[int, int], seed: int):
    dealt = allot(places, available, random.Random(seed))
    assert sum(dealt.values()) == min(places, sum(available.values()))
    assert all(dealt[taker] <= available[taker] for taker in available)
    hungry = [dealt[taker] for taker in available if dealt[taker] < available[taker]]
    if hungry:  # nobody has two more than one who could have used another
        assert max(dealt.values()) - min(hungry) <= 1


def test_an_odd_place_goes_to_anybody():
    rng = random.Random(1)
    got = Counter(taker for _ in range(300) for taker, n in allot(1, {"a": 99, "b": 1}, rng).items() if n)
    assert 120 <= got["b"] <= 180


def test_newcomers_have_at_most_half_the_turns_however_many_parties_they_are():
    rng = random.Random(1)
    crowd = [Party(f"10.0.0.{n}", Standing.MET) for n in range(99)]
    turns = Counter(turn([KNOWN, *crowd], rng).standing for _ in range(1_000))
    assert 450 <= turns[Standing.KNOWN] <= 550
    turns = Counter(
        turn([MET, *(Party(f"k{n}", Standing.KNOWN) for n in range(9))], rng) for _ in range(1_000)
    )
    assert 60 <= turns[MET] <= 140, "and where they are few, an even share"


def test_parties_on_trial_have_at_most_a_fifth_of_the_turns_however_many_they_are():
    rng = random.Random(1)
    late = [Party(f"10.0.1.{n}", Standing.MET, on_trial=True) for n in range(99)]
    for others in ([MET], [KNOWN], [MET, KNOWN]):
        turns = Counter(turn([*others, *late], rng).on_trial for _ in range(1_000))
        assert 150 <= turns[True] <= 250
    turns = Counter(
        turn([late[0], *(Party(f"m{n}", Standing.MET) for n in range(9))], rng) for _ in range(1_000)
    )
    assert 60 <= turns[late[0]] <= 140, "and where they are few, an even share"
    assert turn(late, rng).on_trial, "and all, if nobody else has anything"


def test_strangers_earn_one_turn_for_four_of_others_and_save_up_little():
    share = StrangersShare()
    assert share.left(START) == 0
    for _ in range(4):
        share.took(is_held_back=False)
    assert share.left(START) == 1
    share.took(is_held_back=True)
    assert share.left(START) == 0
    for _ in range(1_000):
        share.took(is_held_back=False)
    assert share.left(START) == STRANGERS_SAVED_MAX


def test_the_work_of_dropping_what_a_crowd_announces_grows_no_faster_than_the_crowd():
    calls: list[int] = []
    for crowd in (500, 1_000):
        candidates = Candidates(GossipLimits(candidates_max=8), random.Random(1))
        announced, _ = announced_record(make_manifest(), key(1), 1, START)
        for number in range(crowd):
            candidates.add(Candidate(replace(announced, publisher=PeerId(f"peer {number}"))))
        calls.append(calls_during(lambda: candidates.trim(lambda _: STRANGER)))  # noqa: B023  called at once
        assert len(candidates) == 8
    assert calls[1] < 3 * calls[0]


def calls_during(work: Callable[[], None]) -> int:
    """Count the calls of functions, which measures work without a clock."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


# Pulls -----------------------------------------------------------------------------------------------


def busy_hand(**limits: int) -> Hand:
    """A puller that knows one met peer, number 1, which delivered just now."""
    hand = Hand(GossipLimits(**limits))
    hand.contacts.delivered(key(1).peer_id, Way.DIRECT, HONEST, START)
    return hand


def test_a_thousand_strangers_get_a_small_part_of_the_pulls_and_the_candidates():
    hand = busy_hand()
    for number in range(16):
        hand.offer(key(1), number)
    for number in range(100, 1_100):
        hand.offer(key(number), number)
    assert len(hand.puller.candidates) == hand.limits.candidates_max
    pulled: Counter[bool] = Counter()
    for second in range(8):
        for pull in hand.puller.pulls(START + second):
            ours = pull.publisher == key(1).peer_id
            pulled[ours] += 1
            if ours:
                hand.teach(pull, START + second, Way.DIRECT, HONEST)
            else:
                hand.fail(pull, PullFailure.ABSENT, START + second)
    assert pulled[True] == 16, "none of the met peer's was pushed out or kept waiting"
    assert pulled[False] <= 16 / 4 + 1


def test_a_crowd_of_strangers_does_not_end_the_search_for_others():
    hand = busy_hand()
    for number in range(100, 120):
        hand.offer(key(number), number)
        for pull in hand.puller.pulls(START + 12 * (number - 100)):
            hand.fail(pull, PullFailure.ABSENT, START + 12 * (number - 100))
    for number in range(1_000, 1_300):
        assert not hand.offer(key(number), number, START + 240), "it does not count"
    assert hand.puller.missing(1, START + 240) == hand.puller.allowance.candidates_wanted() > 0


def test_strangers_that_prove_to_be_there_are_held_back_by_nothing():
    hand = busy_hand()
    for number in range(100, 160):
        assert hand.offer(key(number), number), "it counts"
    pulled = 0
    for second in range(25):
        for _ in range(4):
            for pull in hand.puller.pulls(START + second):
                pulled += 1
                hand.teach(pull, START + second, Way.DIRECT, f"/ip4/10.1.0.{pulled}/tcp/1")
    assert pulled >= 40


def test_strangers_that_cannot_be_reached_do_not_end_the_search_while_nobody_was_met():
    hand = Hand(demand=2)
    for number in range(500):
        hand.offer(key(100 + number % 64), number)
    assert hand.puller.missing(2, START) <= 0
    for second in range(60):
        for pull in hand.puller.pulls(START + second):
            hand.fail(pull, now=START + second)
    assert len(hand.puller.candidates) > 20
    assert hand.puller.missing(2, START + 60) > 0


def test_if_nobody_was_met_strangers_get_everything():
    hand = Hand()
    for number in range(1, 9):
        assert hand.offer(key(number), number)
    pulls = hand.puller.pulls(START)
    assert len({pull.publisher for pull in pulls}) == 8


def test_a_newcomer_is_heard_while_the_met_peers_are_silent():
    hand = busy_hand()
    hand.offer(key(7), 7)
    assert hand.puller.pulls(START + 1) == []
    hand.puller.pulls(START + 5)
    (pull,) = hand.puller.pulls(START + 15)
    hand.teach(pull, START + 15, Way.DIRECT, "/ip4/10.0.0.7/tcp/1")
    assert hand.contacts.standing(key(7).peer_id, START + 15) is Standing.MET


def test_a_pull_that_brought_nothing_costs_the_trainer_nothing():
    hand = Hand(demand=1)
    for number in range(1, 9):
        hand.offer(key(number), number)
    for _ in range(4):
        for pull in hand.puller.pulls(START):
            hand.fail(pull, PullFailure.ABSENT)
    assert hand.puller.in_flight == 0
    assert len(hand.puller.candidates) == 0


def test_many_names_at_one_address_take_no_pulls_from_the_only_peer_at_another():
    """The limit on one peer's part of the recent pulls must not favour whoever has many names."""
    hand = Hand(demand=8)
    for number in range(8):
        hand.contacts.delivered(key(1).peer_id, Way.DIRECT, HONEST, START)
        hand.contacts.delivered(key(100 + number).peer_id, Way.DIRECT, "/ip4/10.9.9.9/tcp/1", START)
    pulled: Counter[bool] = Counter()
    for number in range(100):
        now = START + number
        hand.offer(key(1), number, now)
        for peer in range(8):
            hand.offer(key(100 + peer), 1_000 * (peer + 1) + number, now)
        hand.puller.allowance.demand(1, 1.0, now)
        for pull in hand.puller.pulls(now):
            ours = pull.publisher == key(1).peer_id
            pulled[ours] += 1
            hand.teach(pull, now, Way.DIRECT, HONEST if ours else "/ip4/10.9.9.9/tcp/1")
    assert pulled[True] >= 0.4 * pulled.total() >= 40


# Whose fault -----------------------------------------------------------------------------------------


def failing(hand: Hand, kind: PullFailure, times: int, peer: int = 1) -> None:
    now = START
    for number in range(times):
        hand.offer(key(peer), 1_000 * peer + number, now)
        for pull in hand.puller.pulls(now):
            hand.fail(pull, kind, now)
        now += 7


def test_busy_and_our_own_faults_are_never_held_against_a_publisher():
    for kind in (PullFailure.BUSY, PullFailure.LOCAL):
        hand = Hand()
        failing(hand, kind, 30)
        assert hand.reputation.trust(key(1).peer_id, START + 210) == 1
        assert hand.puller.rejected == {}


def test_a_group_whose_publisher_was_busy_is_pulled_later():
    hand = Hand()
    hand.offer(key(1), 1)
    for second in (0, 6, 12):
        (pull,) = hand.puller.pulls(START + second)
        hand.fail(pull, PullFailure.BUSY, START + second)
    (pull,) = hand.puller.pulls(START + 18)
    assert hand.teach(pull, START + 18)


def test_pulls_that_fail_together_are_one_failure_and_cost_nothing():
    hand = Hand(GossipLimits(pulls_per_peer=8))
    for number in range(8):
        hand.offer(key(1), number)
    pulls = hand.puller.pulls(START)
    assert len(pulls) == 8
    for pull in pulls:
        hand.fail(pull)
    assert hand.reputation.reasons(key(1).peer_id) == {}
    assert hand.puller.pulls(START + 4) == []
    assert len(hand.puller.pulls(START + 5)) == 8, "after the first and shortest back-off"


def test_a_peer_that_cannot_be_reached_is_tried_ever_more_rarely_and_not_ignored():
    hand = Hand()
    tried = []
    for second in range(600):
        hand.offer(key(1), second, START + second)
        for pull in hand.puller.pulls(START + second):
            tried.append(second)
            hand.fail(pull, now=START + second)
    assert len(tried) <= 2 * 8
    assert not hand.reputation.is_ignored(key(1).peer_id, START + 600)


def test_when_most_fail_together_nobody_pays():
    hand = Hand()
    for peer in range(1, 7):
        hand.contacts.delivered(key(peer).peer_id, Way.DIRECT, f"/ip4/10.0.0.{peer}/tcp/1", START)
        hand.offer(key(peer), peer)
    for pull in hand.puller.pulls(START):
        hand.fail(pull)
    lost = [hand.reputation.reasons(key(peer).peer_id) for peer in range(1, 7)]
    assert sum(map(bool, lost)) <= 1, "the first, before it showed"
    assert all(hand.contacts.is_contact(key(peer).peer_id, START) for peer in range(1, 7))


def test_failures_leave_at_least_half_of_the_contacts_and_lies_may_leave_none():
    for reason, least in (("absent", 3), ("question", 0)):
        hand = Hand()
        peers = [key(n).peer_id for n in range(1, 7)]
        for peer in peers:  # one party, so that it is not taken for an outage
            hand.contacts.delivered(peer, Way.DIRECT, HONEST, START)
        for peer in peers:
            for _ in range(10):
                hand.puller.judge.penalise(peer, reason, START)
        left = [peer for peer in peers if not hand.reputation.is_ignored(peer, START)]
        assert len(left) == least


def test_a_single_contact_is_ignored_for_lies_and_not_for_failures():
    for reason, ignored in (
        ("absent", False),
        ("uninformative", False),
        ("scorer", False),
        ("question", True),
        ("completion", True),
    ):
        hand = Hand()
        hand.contacts.delivered(key(1).peer_id, Way.DIRECT, HONEST, START)
        for _ in range(10):
            hand.puller.judge.penalise(key(1).peer_id, reason, START)
        assert hand.reputation.is_ignored(key(1).peer_id, START) is ignored, reason


def test_a_peer_that_the_operator_trusts_is_never_ignored_but_loses_points_all_the_same():
    hand = Hand()
    peer = key(1).peer_id
    hand.reputation.trust_always(peer)
    for _ in range(10):
        assert hand.puller.judge.penalise(peer, "question", START) == []
    assert hand.reputation.reasons(peer) == {"question": 10}
    assert hand.reputation.trust(peer, START) == 1
