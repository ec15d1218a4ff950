"""What becomes of a swarm on the worst network: loss, delay, doubles, partitions, deaths, wrong clocks."""

from __future__ import annotations

import pytest

from tests.gossip.making import make_manifest
from tests.sim.bounds import overfull
from tests.sim.simulator import Peer, Swarm, Trainer

PACE = Trainer(step_seconds=10.0, local=2, external=2, informative=0.7)
SLOW = Trainer(step_seconds=30.0, local=2, external=2)
CUT_S = 20.0
HOUR_S = 3_600.0
LOOK_S = 10.0


class Rough:
    """A swarm in which every tenth clock is off by an hour; every minute half of it dies and is replaced, and
    the rest is cut in two for a while."""

    def __init__(self, size: int, seed: int, loss: float) -> None:
        self.swarm = Swarm(make_manifest(), seed=seed, loss=loss, slow=0.05, doubled=0.05)
        for _ in range(size):
            self.enter()

    def enter(self) -> None:
        number = len(self.swarm.peers)
        offset = (HOUR_S if number % 20 else -HOUR_S) if number % 10 == 5 else 0.0
        self.swarm.join(trainer=PACE, clock_offset=offset)

    @property
    def living(self) -> list[Peer]:
        return [peer for peer in self.swarm.peers if peer.alive]

    def run(self, seconds: float) -> None:
        """Look into every machine now and then."""
        for _ in range(int(seconds / LOOK_S)):
            self.swarm.run(LOOK_S)
            for peer in self.living:
                assert peer.machine is not None
                assert overfull(peer.machine) == []

    def minute(self) -> tuple[list[Peer], list[int], list[int]]:
        """Deaths, births, a cut, a heal and two rounds; returns who lived through it, and the steps and
        groups of each since the heal."""
        living = self.living
        dead = self.swarm.rng.sample(living, len(living) // 2)
        for victim in dead:
            self.swarm.kill(victim)
            self.enter()
        survivors = [peer for peer in living if peer.alive and not peer.clock_offset]
        everybody = self.living
        self.run(10)
        self.swarm.partition([everybody[::2], everybody[1::2]])
        self.run(CUT_S)
        self.swarm.heal()
        before = [(peer.steps, sum(peer.accepted.values())) for peer in survivors]
        self.run(2 * self.swarm.manifest.round_seconds)
        steps = [peer.steps - then for peer, (then, _) in zip(survivors, before, strict=True)]
        groups = [
            sum(peer.accepted.values()) - then for peer, (_, then) in zip(survivors, before, strict=True)
        ]
        return survivors, steps, groups


def endure(size: int, seed: int, loss: float, minutes: int) -> None:
    rough = Rough(size, seed, loss)
    rough.run(30)
    for _ in range(minutes):
        survivors, steps, groups = rough.minute()
        assert min(steps) >= 2
        assert min(groups) > 0, sorted(groups)
        for peer in survivors:
            assert [change for change in peer.changes if change.change == "ignored"] == []
            assert peer.statistics().points_lost.get("pull", 0) == 0


@pytest.mark.parametrize("loss", [0.1, 0.5])
def test_survivors_of_the_worst_network_step_hear_each_other_and_blame_nobody(loss: float):
    endure(10, seed=1, loss=loss, minutes=1)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("loss", [0.0, 0.25, 0.5])
def test_a_hundred_survive_the_worst_network(loss: float):
    endure(100, seed=1, loss=loss, minutes=3)


def test_after_a_cut_of_ten_minutes_both_sides_hear_each_other_within_two_rounds():
    swarm = Swarm(make_manifest(), seed=4)
    peers = [swarm.join(trainer=SLOW) for _ in range(4)]
    swarm.run(120)
    left, right = peers[:2], peers[2:]
    swarm.partition([left, right])
    swarm.run(600)
    swarm.heal()
    before = {peer.number: peer.accepted.copy() for peer in peers}
    swarm.run(2 * swarm.manifest.round_seconds)
    for half, others in ((left, right), (right, left)):
        for peer in half:
            gained = peer.accepted - before[peer.number]
            assert any(gained[other.peer_id] for other in others)
            assert peer.statistics().points_lost == {}
