"""An outage costs nobody anything, and when it ends everything goes on at once."""

from __future__ import annotations

import random

from protocol import announcement_key
from swarmd import gossip as g
from swarmd.network.interface import PullFailure, Way
from tests.gossip.making import START, key, make_manifest, make_own_status
from tests.gossip.test_pulling import Hand

MANIFEST = make_manifest()
A, B = key(1), key(2)


class Life:
    """A machine with demand and a status, that is told events."""

    def __init__(self) -> None:
        self.machine = g.Gossip(key=key(0), manifest=MANIFEST, rng=random.Random(1))
        self.tell(g.Demand(100, 1.0), START)
        self.tell(make_own_status(key(0)), START)

    def tell(self, event: g.Event, now: float) -> list[g.Command]:
        return self.machine.handle(event, now)

    def tick(self, now: float, *, unheard: tuple = (), neighbours: int = 1) -> list[g.Command]:
        return self.tell(g.Tick(neighbours, unheard=frozenset(p.peer_id for p in unheard)), now)


def of(kind: type, commands: list[g.Command]) -> list:
    return [command for command in commands if isinstance(command, kind)]


def quiet(life: Life, until: float, **tick) -> float:
    """Let reads bring nothing before `until`, so that their pace is the slowest. Returns the last time."""
    now = START
    while now < until:
        commands = life.tick(now, **tick)
        while commands:
            command = commands.pop()
            if isinstance(command, g.ReadAnnouncements):
                commands += life.tell(g.AnnouncementsRead(()), now)
            elif isinstance(command, g.ReadStatuses):
                commands += life.tell(g.StatusesRead(()), now)
        now += 1
    return now


def test_when_the_last_peer_is_back_everything_is_read_said_and_tried_at_once():
    life = Life()
    now = quiet(life, START + 400, neighbours=0, unheard=(A,))
    commands = life.tick(now, neighbours=1)
    assert of(g.ReadAnnouncements, commands)
    assert of(g.ReadStatuses, commands)
    assert of(g.PublishStatus, commands)


def test_what_was_read_while_alone_is_read_again():
    life = Life()
    now = quiet(life, START + 400, neighbours=0, unheard=(A,))
    read: set[bytes] = set()
    for second in range(20):
        for command in of(g.ReadAnnouncements, life.tick(now + second, neighbours=1)):
            read |= set(command.keys)
            life.tell(g.AnnouncementsRead(()), now + second)
    last = MANIFEST.round_at(now) - 1
    past = {announcement_key(MANIFEST.swarm_id, last, task.task_id, 0) for task in MANIFEST.tasks}
    assert past <= read


def test_when_one_of_many_is_back_reading_goes_on_at_the_fastest_pace():
    life = Life()
    now = quiet(life, START + 400, neighbours=5, unheard=(A, B))
    assert of(g.ReadAnnouncements, life.tick(now, neighbours=5, unheard=(B,)))


def test_a_read_that_began_before_the_end_is_followed_by_another_at_once():
    life = Life()
    assert not of(g.ReadAnnouncements, life.tick(START, neighbours=0, unheard=(A,))), "one is in progress"
    assert not of(g.ReadAnnouncements, life.tick(START + 3, neighbours=1))
    assert of(g.ReadAnnouncements, life.tell(g.AnnouncementsRead(()), START + 4))


def test_after_a_pause_of_this_machine_everything_is_said_and_read_again():
    life = Life()
    now = quiet(life, START + 400, neighbours=3)
    life.tell(g.Paused(), now)
    commands = life.tick(now, neighbours=3)
    assert of(g.PublishStatus, commands)


def test_while_somebody_does_not_answer_it_looks_every_second():
    life = Life()
    life.tick(START)
    life.tick(START, unheard=(A,))
    assert life.machine.next_wakeup <= START + 1


def backing_off(times: int) -> tuple[Hand, float]:
    """A publisher whose pulls failed `times` times in a row. Returns the hand and the time."""
    hand, now = Hand(), START
    for number in range(times):
        hand.offer(A, number, now)
        pulls: list = []
        while not (pulls := hand.puller.pulls(now)):
            now += 1
        for pull in pulls:
            hand.fail(pull, now=now)
    return hand, now


def test_a_peer_that_is_back_is_pulled_from_at_once_however_long_the_back_off():
    for end in ("back", "all_back"):
        hand, now = backing_off(5)
        hand.offer(A, 99, now)
        assert hand.puller.pulls(now + 20) == []
        hand.puller.back([A.peer_id]) if end == "back" else hand.puller.all_back()
        assert hand.puller.pulls(now + 20)


def test_the_return_of_one_peer_ends_no_other_back_off():
    hand, now = backing_off(5)
    hand.offer(A, 99, now)
    hand.puller.back([B.peer_id])
    assert hand.puller.pulls(now + 20) == []


def test_an_outage_of_any_length_costs_a_lone_peer_nothing():
    hand = Hand()
    hand.contacts.delivered(A.peer_id, Way.DIRECT, "/ip4/10.0.0.1/tcp/1", START)
    for second in range(0, 3_600, 5):
        hand.offer(A, second, START + second)
        for pull in hand.puller.pulls(START + second):
            hand.fail(pull, PullFailure.UNREACHABLE, START + second)
    assert hand.reputation.trust(A.peer_id, START + 3_600) == 1
    assert not hand.reputation.judged()


def test_what_could_not_be_scored_while_this_machine_stood_still_costs_nothing():
    for paused, reasons in ((False, {"scorer": 1}), (True, {})):
        hand = Hand()
        hand.offer(A, 1)
        (pull,) = hand.puller.pulls(START)
        hand.deliver(pull)
        if paused:
            hand.puller.paused()
        hand.puller.refused(pull.digest, "scorer", START + 100)
        assert hand.reputation.reasons(A.peer_id) == reasons


def test_a_lie_counts_even_if_this_machine_stood_still():
    hand = Hand()
    hand.offer(A, 1)
    (pull,) = hand.puller.pulls(START)
    hand.deliver(pull)
    hand.puller.paused()
    hand.puller.refused(pull.digest, "question", START + 100)
    assert hand.reputation.reasons(A.peer_id) == {"question": 1}
