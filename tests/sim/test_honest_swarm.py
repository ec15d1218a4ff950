"""What a swarm of honest peers achieves, whatever its size, pace and luck with the network."""

from __future__ import annotations

from statistics import mean

import pytest

from protocol import SHARD_ENTRIES_MAX
from swarmd import gossip as g
from tests.gossip.making import make_manifest
from tests.sim.simulator import Swarm, Trainer

CALM = Trainer(step_seconds=10.0, local=2, external=2, informative=0.7)

SLOW = Trainer(step_seconds=30.0, local=2, external=2)


def grow(size: int, *, seed: int = 1, loss: float = 0.0, trainer: Trainer | None = None) -> Swarm:
    swarm = Swarm(make_manifest(), seed=seed, loss=loss)
    for _ in range(size):
        swarm.join(trainer=trainer)
    return swarm


def test_a_peer_alone_waits_without_complaint():
    swarm = grow(1)
    swarm.run(120)
    seen = swarm.peers[0].statistics()
    assert seen.groups_pulled == 0
    assert seen.swarm_size == 1
    assert seen.problems == ()


def test_two_peers_teach_each_other():
    swarm = grow(2)
    swarm.run(90)
    for peer in swarm.peers:
        assert sum(peer.accepted.values()) >= 20


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_every_peer_gets_groups_from_several_others(loss: float):
    swarm = grow(12, loss=loss)
    swarm.run(90)
    steps = 90 / 5
    for peer in swarm.peers:
        assert len(peer.accepted) >= 6
        assert sum(peer.accepted.values()) >= 0.75 * 4 * steps
        assert max(peer.accepted.values()) <= 0.5 * sum(peer.accepted.values())


@pytest.mark.parametrize(
    ("step_seconds", "seconds"), [(1.0, 60.0), (60.0, 600.0)], ids=["steps of 1 s", "steps of 60 s"]
)
def test_pulls_follow_the_trainers_pace_and_not_the_rounds(step_seconds: float, seconds: float):
    """Rounds last 15 s in both cases."""
    swarm = grow(6, trainer=Trainer(step_seconds=step_seconds, local=3, external=3, informative=0.8))
    swarm.run(seconds)
    used = 3 * seconds / step_seconds
    for peer in swarm.peers:
        assert sum(peer.accepted.values()) >= 0.7 * used
        assert peer.statistics().groups_pulled <= 2 * used + 2 * 3


def test_without_demand_nothing_is_read_or_pulled_but_own_groups_are_published():
    swarm = grow(3)
    giver = swarm.join(trainer=Trainer(external=0))
    swarm.run(90)
    assert giver.keys_read == 0
    assert not giver.pulls_from
    assert all(peer.accepted[giver.peer_id] for peer in swarm.peers if peer is not giver)


def traffic(swarm: Swarm) -> list[float]:
    """Keys read, bytes read and bytes pulled by the mean peer so far."""
    counters = ("keys_read", "bytes_read", "bytes_pulled")
    return [mean(getattr(peer, counter) for peer in swarm.peers) for counter in counters]


def test_a_peers_traffic_does_not_grow_with_the_swarm():
    cost = {}
    for size in (10, 50):
        swarm = grow(size, trainer=CALM)
        swarm.run(20)
        before = traffic(swarm)
        swarm.run(40)
        cost[size] = [now - then for now, then in zip(traffic(swarm), before, strict=True)]
    keys, read, pulled = (many / few for few, many in zip(cost[10], cost[50], strict=True))
    assert keys <= 1.1
    assert read <= 2.0
    assert pulled <= 1.1


def test_no_key_fills_up_once_the_swarm_knows_its_size():
    swarm = grow(30)
    swarm.run(30)
    swarm.fullest_key = 0
    swarm.run(30)
    assert 0 < swarm.fullest_key < SHARD_ENTRIES_MAX * 3 / 4


def test_a_late_joiner_learns_within_two_rounds():
    swarm = grow(8)
    swarm.run(60)
    late = swarm.join(via=[swarm.peers[5]])
    swarm.run(2 * swarm.manifest.round_seconds)
    assert len(late.accepted) >= 3
    assert sum(late.accepted.values()) >= 16
    assert late.statistics().swarm_size >= 7
    swarm.run(60)
    assert sum(peer.accepted[late.peer_id] > 0 for peer in swarm.peers) >= 6


def test_a_fast_peer_does_not_crowd_out_the_slow_ones():
    swarm = grow(6, trainer=Trainer(step_seconds=10.0, local=2, external=4))
    fast = swarm.join(trainer=Trainer(step_seconds=0.5, local=8, external=0))
    swarm.run(120)
    for peer in swarm.peers[:6]:
        assert peer.accepted[fast.peer_id] <= 0.4 * sum(peer.accepted.values())
        assert len(peer.accepted) == 6


def test_what_a_fast_peer_may_publish_in_a_round_is_bounded():
    swarm = Swarm(make_manifest(records_per_round_max=5), seed=3)
    fast = swarm.join(trainer=Trainer(step_seconds=0.5, local=8, external=0))
    swarm.join()
    swarm.run(60)
    seen = fast.statistics()
    assert seen.groups_published <= 5 * 5
    assert seen.groups_unpublished["round_budget"] > 100


def test_a_publisher_that_nobody_can_dial_is_heard_all_the_same():
    swarm = grow(4)
    hidden = swarm.join(dialable=False)
    swarm.run(90)
    assert all(peer.accepted[hidden.peer_id] for peer in swarm.peers if peer is not hidden)


def test_the_swarm_outlives_the_death_of_a_third_of_it():
    swarm = grow(12, loss=0.05, trainer=CALM)
    swarm.run(60)
    dead = swarm.peers[:4]
    for peer in dead:
        swarm.kill(peer)
    before = [sum(p.accepted.values()) for p in swarm.peers]
    swarm.run(210)
    for peer in swarm.peers[4:]:
        assert sum(peer.accepted.values()) - before[peer.number] >= 0.75 * 2 * 210 / 10
        alive = {view.peer_id for view in peer.statistics().peers if view.status is not None}
        assert alive.isdisjoint(p.peer_id for p in dead)
        assert peer.statistics().swarm_size == pytest.approx(8, abs=3)


def test_a_split_swarm_goes_on_in_both_halves_and_grows_together_again():
    swarm = grow(10, trainer=CALM)
    left, right = swarm.peers[:5], swarm.peers[5:]
    swarm.run(60)
    swarm.partition([left, right])
    swarm.run(30)
    before = {p.number: p.accepted.copy() for p in swarm.peers}
    swarm.run(270)
    for half, others in ((left, right), (right, left)):
        for peer in half:
            gained = peer.accepted - before[peer.number]
            assert sum(gained.values()) >= 30
            assert not any(gained[other.peer_id] for other in others)
    swarm.heal()
    swarm.run(150)
    before = {p.number: p.accepted.copy() for p in swarm.peers}
    swarm.run(90)
    for half, others in ((left, right), (right, left)):
        for peer in half:
            gained = peer.accepted - before[peer.number]
            assert sum(gained[other.peer_id] > 0 for other in others) >= 3


def test_after_a_restart_of_the_transport_what_was_announced_is_announced_again():
    swarm = grow(3)
    swarm.run(60)
    lost = swarm.peers[0]
    published = lost.statistics().announcements_stored
    swarm.tell(lost, g.NetworkRestarted())
    swarm.run(6)
    assert lost.statistics().announcements_stored >= 2 * published


def test_a_peer_that_began_alone_is_heard_once_somebody_comes():
    swarm = Swarm(make_manifest(), seed=5)
    first = swarm.join()
    swarm.run(60)
    second = swarm.join(via=[first])
    swarm.run(30)
    assert second.accepted[first.peer_id] >= 10
    assert first.accepted[second.peer_id] >= 5


@pytest.mark.parametrize(("offset", "word"), [(25.0, "ahead of"), (-25.0, "behind")])
def test_a_wrong_clock_is_noticed_by_its_owner_and_by_nobody_else(offset: float, word: str):
    swarm = grow(6, trainer=SLOW)
    wrong = swarm.join(trainer=SLOW, clock_offset=offset)
    swarm.run(240)
    seen = wrong.statistics()
    assert seen.clock_offset_s == pytest.approx(-offset, abs=10)
    assert word in seen.problems[0]
    assert all(peer.statistics().clock_offset_s is None for peer in swarm.peers[:6])


def test_the_same_seed_replays_the_same_swarm():
    traces = []
    for seed in (7, 7, 8):
        swarm = grow(6, seed=seed, loss=0.1)
        swarm.run(45)
        traces.append(swarm.trace.hexdigest())
    assert traces[0] == traces[1] != traces[2]
