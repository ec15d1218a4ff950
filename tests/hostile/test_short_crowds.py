"""Crowds of names behind one connection, in the simulator: short forms of three attacks.

Two honest peers and an outsider that signs with as many keys as it likes; beside them, with the same seed,
two that are left alone. What is compared is the groups that the two get from each other.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable

import pytest

from protocol import KeyPair, PeerId, sign_record
from tests.gossip.making import announce, completion, make_manifest, make_record, make_status
from tests.sim.simulator import Peer, Swarm, Trainer

QUIET_S = 45
UNDER_WAY_S = 60
"""What was announced before the attack is read and pulled for four rounds of 15 s."""

JUDGED_S = 60
TRAINER = Trainer(step_seconds=5.0, local=3, external=2)
"""One peer makes a little less than the other asks for."""

SHARE_MIN = 0.8
DRAWS_MAX = 0.25

Move = Callable[[Swarm, Peer, int], None]
"""What the outsider does each second, `number` times so far."""


def sibling(swarm: Swarm, outsider: Peer, number: int) -> Peer:
    """The outsider under another name: at the same place, over the same connection."""
    key = KeyPair.from_seed(hashlib.sha256(b"sibling %d" % number).digest())
    return swarm.by_id.setdefault(key.peer_id, dataclasses.replace(outsider, key=key))


def exchanged(move: Move | None) -> tuple[float, float]:
    """Groups that two honest peers accepted from each other while the outsider moved, and from others."""
    swarm = Swarm(make_manifest(tasks=1), seed=7)
    honest = [swarm.join(trainer=TRAINER) for _ in range(2)]
    outsider = swarm.outsider()
    ids = {peer.peer_id for peer in honest}
    swarm.run(QUIET_S)

    def act(number: int) -> None:
        if move is not None:
            move(swarm, outsider, number)
        swarm.after(1.0, lambda: act(number + 1))

    act(0)
    swarm.run(UNDER_WAY_S)
    before = [dict(peer.accepted) for peer in honest]
    swarm.run(JUDGED_S)

    def gained(theirs: Callable[[PeerId], bool]) -> float:
        return sum(
            count - earlier.get(who, 0)
            for peer, earlier in zip(honest, before, strict=True)
            for who, count in peer.accepted.items()
            if theirs(who)
        )

    return gained(ids.__contains__), gained(lambda who: who not in ids)


@pytest.fixture(scope="module")
def left_alone() -> float:
    honest, _ = exchanged(None)
    return honest


def believe(swarm: Swarm, outsider: Peer, number: int) -> None:
    """200 statuses of peers that do not exist, again each minute."""
    if number % 60 == 0:
        for each in range(200):
            name = sibling(swarm, outsider, each)
            envelope = make_status(swarm.manifest, name.key, swarm.now, addresses=())
            swarm._store_status(name, envelope)


def take_places(swarm: Swarm, outsider: Peer, number: int) -> None:
    """Announcements of no body by 64 siblings, as soon as a round of any task can be announced."""
    if number % 15 == 0:
        for each in range(64):
            name = sibling(swarm, outsider, each)
            for task in range(len(swarm.manifest.tasks)):
                record = make_record(swarm.manifest, task, swarm.now)
                digest = hashlib.sha256(b"%d %d %d" % (number, each, task)).digest()
                swarm.announce(name, announce(name.key, record, b"none", digest=digest, size=2_000))


def buy_draws(swarm: Swarm, outsider: Peer, number: int) -> None:
    """Right answers inside gibberish by 50 siblings, four groups a second, bodies inline."""
    for part in range(4):
        name = sibling(swarm, outsider, (number * 4 + part) % 50)
        record = make_record(swarm.manifest, 10**6 + number * 4 + part, swarm.now)
        texts = (f"zorp {number} {part} <answer>1.000000</answer>", "blik <answer>0.000000</answer>")
        answers = tuple(completion(1.0 - place, text) for place, text in enumerate(texts))
        body = sign_record(name.key, record.model_copy(update={"completions": answers}))
        swarm._store_body(name, body)
        swarm.announce(name, announce(name.key, record, body))


@pytest.mark.parametrize("move", [believe, take_places], ids=lambda move: move.__name__)
def test_two_peers_go_on_exchanging_groups_beside_a_crowd_of_names(move: Move, left_alone: float) -> None:
    honest, _ = exchanged(move)
    assert honest >= SHARE_MIN * left_alone


def test_fifty_names_behind_one_connection_buy_no_more_than_a_quarter(left_alone: float) -> None:
    honest, bought = exchanged(buy_draws)
    assert bought <= DRAWS_MAX * (honest + bought)
    assert honest >= SHARE_MIN * left_alone
