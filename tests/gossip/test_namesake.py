"""Two daemons with the same key: each finds the other's status in the place of its own."""

from __future__ import annotations

import random

from swarmd.gossip import Gossip, PublishStatus, StatusesRead, Tick
from swarmd.gossip.namesake import PROBLEM, TOLD_S
from tests.gossip.making import START, key, make_manifest, make_own_status, make_status

MANIFEST = make_manifest()


def gossip(number: int = 1) -> Gossip:
    return Gossip(key=key(number), manifest=MANIFEST, rng=random.Random(0))


def published(machine: Gossip, now: float) -> list[bytes]:
    machine.handle(make_own_status(key(1)), now)
    return [c.envelope for c in machine.handle(Tick(1, True, {}), now) if isinstance(c, PublishStatus)]


def problems(machine: Gossip) -> tuple[str, ...]:
    return machine.statistics().problems


def test_both_of_two_with_the_same_key_are_told() -> None:
    first, second = gossip(), gossip()
    (of_first,) = published(first, START)
    (of_second,) = published(second, START + 10)
    (later,) = published(first, START + 60)
    assert problems(first) == problems(second) == ()
    first.handle(StatusesRead((of_second,)), START + 61)
    second.handle(StatusesRead((later,)), START + 61)
    assert problems(first) == problems(second) == (PROBLEM,)
    assert "--new-identity" in PROBLEM
    assert of_first != later


def test_own_statuses_are_not_taken_for_another_peers() -> None:
    machine = gossip()
    own = [envelope for n in range(10) for envelope in published(machine, START + 60 * n)]
    assert len(own) == 10
    machine.handle(StatusesRead(tuple(own[-2:])), START + 600)
    assert problems(machine) == ()


def test_a_status_of_an_earlier_run_is_not_taken_for_another_peers() -> None:
    left = make_status(MANIFEST, key(1), START - 5)
    machine = gossip()
    published(machine, START)
    machine.handle(StatusesRead((left,)), START + 20)
    assert problems(machine) == ()


def test_statuses_of_others_are_not_looked_at() -> None:
    machine = gossip()
    published(machine, START)
    machine.handle(StatusesRead((make_status(MANIFEST, key(2), START + 10),)), START + 20)
    assert problems(machine) == ()


def test_the_problem_ends_once_the_other_is_no_longer_heard() -> None:
    machine = gossip()
    published(machine, START)
    machine.handle(StatusesRead((make_status(MANIFEST, key(1), START + 10),)), START + 20)
    assert problems(machine) == (PROBLEM,)
    machine.handle(Tick(1, True, {}), START + 20 + TOLD_S)
    assert problems(machine) == ()
