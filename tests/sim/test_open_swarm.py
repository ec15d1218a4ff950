"""What many names cannot do to two honest peers, against the same two without them, in the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from protocol import PeerId
from tests.gossip.making import make_manifest
from tests.sim import hostile
from tests.sim.simulator import Peer, Swarm

WARM_UP_S = 45
SECONDS = 90


@dataclass
class Outcome:
    honest: list[Peer]
    from_honest: list[int]
    from_others: list[int]


def run(move: hostile.Move | None, seed: int, *, names: int = 0, honest: int = 2) -> Outcome:
    """Honest peers and one hostile hand, which is idle where `move` is None; counted after a warm-up."""
    swarm = Swarm(make_manifest(), seed=seed)
    peers = [swarm.join() for _ in range(honest)]
    hostile.let_loose(swarm, move or (lambda swarm, peer, number: None))
    swarm.run(WARM_UP_S)
    before = [peer.accepted.copy() for peer in peers]
    swarm.run(SECONDS)
    ids = {peer.peer_id for peer in peers}
    gained: list[Counter[PeerId]] = [p.accepted - b for p, b in zip(peers, before, strict=True)]
    return Outcome(
        peers,
        [sum(n for who, n in counts.items() if who in ids) for counts in gained],
        [sum(n for who, n in counts.items() if who not in ids) for counts in gained],
    )


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    "move", [hostile.fake_statuses(1_000), hostile.siblings(64)], ids=["1000 statuses", "64 siblings"]
)
def test_names_cost_an_honest_pair_less_than_a_fifth_of_each_others_groups(move: hostile.Move, seed: int):
    attacked, control = run(move, seed), run(None, seed)
    for ours, theirs in zip(attacked.from_honest, control.from_honest, strict=True):
        assert ours >= 0.8 * theirs > 20
    for peer in attacked.honest:
        seen = peer.statistics()
        assert seen.swarm_size <= 4, "two honest ones, and the hand that is connected"
        assert seen.shards == control.honest[0].statistics().shards
        assert seen.clock_offset_s is None


def test_peers_that_are_connected_and_publish_nothing_cost_an_honest_pair_nothing_either():
    attacked, control = run(hostile.stand_by(8), 1), run(None, 1)
    for ours, theirs in zip(attacked.from_honest, control.from_honest, strict=True):
        assert ours >= 0.8 * theirs > 20
    for peer in attacked.honest:
        seen = peer.statistics()
        assert seen.swarm_size <= 4
        assert seen.shards == control.honest[0].statistics().shards


@pytest.mark.parametrize("count", [1, 50])
def test_right_answers_in_many_names_do_not_crowd_out_the_honest(count: int):
    attacked, control = run(hostile.crowd(count), 3), run(None, 3)
    for ours, free in zip(attacked.from_honest, control.from_honest, strict=True):
        assert ours >= 0.8 * free > 20
    for others, ours in zip(attacked.from_others, attacked.from_honest, strict=True):
        assert others <= 0.25 * (ours + others) + WARM_UP_S * 0.1
