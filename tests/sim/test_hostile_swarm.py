"""What hostile peers cannot do to a swarm."""

from __future__ import annotations

import random

import pytest

from tests.gossip.making import make_manifest
from tests.sim import hostile
from tests.sim.simulator import Peer, Swarm, Trainer

SECONDS = 90
STEPS = SECONDS / 5


def swarm_with(
    move: hostile.Move | None, *, trainer: Trainer | None = None
) -> tuple[Swarm, list[Peer], Peer]:
    """Six honest peers, and a hostile one that makes `move` (or nothing) every second."""
    swarm = Swarm(make_manifest(), seed=11)
    honest = [swarm.join(trainer=trainer) for _ in range(6)]
    return swarm, honest, hostile.let_loose(swarm, move or (lambda swarm, peer, number: None))


def assert_all_learn(honest: list[Peer], *, share: float = 0.75) -> None:
    """Everybody gets at least `share` of the 4 groups a step it wants, from several honest peers."""
    ids = {peer.peer_id for peer in honest}
    for peer in honest:
        heard = {who: n for who, n in peer.accepted.items() if who in ids}
        assert len(heard) >= 4
        assert sum(heard.values()) >= share * 4 * STEPS


@pytest.mark.parametrize(
    "move",
    [
        hostile.forge_questions,
        hostile.promise_lessons,
        hostile.sign_with_another_key,
    ],
    ids=lambda move: move.__name__,
)
def test_who_sends_what_is_not_true_is_soon_ignored(move: hostile.Move):
    swarm, honest, liar = swarm_with(move)
    swarm.run(SECONDS)
    assert_all_learn(honest)
    for peer in honest:
        assert peer.accepted[liar.peer_id] == 0
        assert 0 < peer.pulls_from[liar.peer_id] <= 8
        assert len(peer.statistics().ignored) == 1


def test_a_liar_is_forgiven_after_a_time_and_ignored_for_longer_when_it_lies_again():
    swarm, honest, liar = swarm_with(hostile.forge_questions, trainer=Trainer(10.0, 2, 2))
    pulls = []
    for seconds in (120, 300, 300):
        swarm.run(seconds)
        pulls.append([peer.pulls_from[liar.peer_id] for peer in honest])
    first, second, third = pulls
    assert all(a < b <= a + 4 for a, b in zip(first, second, strict=True))
    assert second == third


def test_a_flood_by_one_peer_starves_nobody():
    swarm, honest, flooder = swarm_with(hostile.flood)
    swarm.run(SECONDS)
    assert_all_learn(honest)
    for peer in honest:
        assert peer.accepted[flooder.peer_id] <= 0.4 * sum(peer.accepted.values())


def test_stolen_announcements_do_not_keep_the_true_ones_from_being_pulled():
    swarm, honest, _ = swarm_with(hostile.steal_announcements)
    swarm.run(SECONDS)
    quiet, calm, _ = swarm_with(None)
    quiet.run(SECONDS)
    gained = [sum(sum(p.accepted.values()) for p in peers) for peers in (honest, calm)]
    assert gained[0] >= 0.9 * gained[1]


@pytest.mark.parametrize("name", ["noise", "replay"])
def test_lying_holders_cost_nothing_but_their_own_bytes(name: str):
    swarm, honest, _ = swarm_with(None)
    swarm.tampered_reads = hostile.noise(random.Random(1)) if name == "noise" else hostile.replay_elsewhere()
    swarm.run(SECONDS)
    assert_all_learn(honest)
    for peer in honest:
        assert sum(peer.statistics().junk.values()) > 0
        assert peer.statistics().ignored == ()
        assert not peer.drops


def test_a_peer_that_serves_other_bodies_than_it_announced_is_ignored():
    swarm, honest, _ = swarm_with(None)
    swapper = honest[0]
    swarm.tampered_bodies[swapper.peer_id] = lambda body: body[:-1] + bytes([body[-1] ^ 1])
    swarm.run(SECONDS)
    assert_all_learn(honest[1:])
    for peer in honest[1:]:
        assert peer.accepted[swapper.peer_id] == 0
        assert peer.pulls_from[swapper.peer_id] <= 6
        assert {drop.reason for drop in peer.drops} == {"digest"}


def test_a_peer_whose_bodies_cannot_be_had_is_soon_left_alone():
    swarm, honest, _ = swarm_with(None)
    absent = honest[0]
    swarm.tampered_bodies[absent.peer_id] = lambda body: None
    swarm.run(SECONDS)
    assert_all_learn(honest[1:])
    tried = [peer.pulls_from[absent.peer_id] for peer in honest]
    swarm.run(60)
    assert tried == [peer.pulls_from[absent.peer_id] for peer in honest]
    for peer in honest[1:]:
        assert {drop.reason for drop in peer.drops} == {"absent"}
