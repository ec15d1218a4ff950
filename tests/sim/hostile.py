"""Peers that follow no rules: each is a hand that a test puts into a swarm, and that moves every second."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from protocol import KeyPair, digest_of, shard_of, sign_record
from tests.gossip.making import announce, key, make_record, make_status
from tests.sim.simulator import Peer, Swarm

Move = Callable[[Swarm, Peer, int], None]
"""What a hostile peer does once a second, `number` times so far."""


def let_loose(swarm: Swarm, move: Move, *, every: float = 1.0) -> Peer:
    """Add a hostile peer that makes `move` every `every` seconds, and dials again when all hang up."""
    peer = swarm.outsider()

    def act(number: int) -> None:
        if peer.alive:
            if not peer.links:
                swarm.link(peer, [other for other in swarm.peers if other is not peer])
            move(swarm, peer, number)
            swarm.after(every, lambda: act(number + 1))

    swarm.after(every, lambda: act(0))
    return peer


def stand_by(count: int) -> Move:
    """`count` more peers at one address are connected to everybody, and publish nothing."""

    def move(swarm: Swarm, peer: Peer, number: int) -> None:
        if number == 0:
            honest = [other for other in swarm.peers if other.machine is not None]
            for _ in range(count):
                silent = swarm.outsider()
                silent.address = peer.address
                swarm.link(silent, honest)

    return move


def publish(
    swarm: Swarm,
    peer: Peer,
    number: int,
    rewards: Sequence[float] = (1.0, 0.0),
    *,
    signer: KeyPair | None = None,
    question_digest: bytes | None = None,
) -> None:
    """Announce a record in the peer's own name; `signer` and `question_digest` are where it can go wrong."""
    record = make_record(swarm.manifest, 10**6 + number, swarm.now, rewards, question_digest=question_digest)
    body = sign_record(signer or peer.key, record)
    peer.blobs[digest_of(body)] = body
    shard = shard_of(peer.peer_id, record.task.task_id, 64 if number % 2 else 1)
    swarm.announce(peer, announce(peer.key, record, body, shard=shard))


def flood(swarm: Swarm, peer: Peer, number: int) -> None:
    """Sound records, twenty a second: far more than anybody else."""
    for part in range(20):
        publish(swarm, peer, number * 20 + part)


def forge_questions(swarm: Swarm, peer: Peer, number: int) -> None:
    """Records about questions that the task never asked."""
    publish(swarm, peer, number, question_digest=hashlib.sha256(b"poison %d" % number).digest())


def promise_lessons(swarm: Swarm, peer: Peer, number: int) -> None:
    """Announced as half solved; in truth every completion is the same."""
    publish(swarm, peer, number, rewards=(1.0, 1.0))


def sign_with_another_key(swarm: Swarm, peer: Peer, number: int) -> None:
    """The body is not by who announced it."""
    publish(swarm, peer, number, signer=KeyPair.from_seed(hashlib.sha256(b"other").digest()))


def steal_announcements(swarm: Swarm, peer: Peer, number: int) -> None:
    """Announce what others published in the own name, and serve their bodies."""
    for other in swarm.peers:
        for digest, body in list(other.blobs.items())[-2:]:
            if other is not peer:
                peer.blobs[digest] = body
                record = make_record(swarm.manifest, number, swarm.now)
                stolen = announce(peer.key, record, body, expires=int(swarm.now) + 200)
                swarm.announce(peer, stolen)


def noise(rng: random.Random) -> Callable[[list[bytes]], list[bytes]]:
    """What a lying holder makes of a read: bytes of nothing, flipped bits, cuts, repetitions."""

    def tamper(envelopes: list[bytes]) -> list[bytes]:
        spoiled = [rng.randbytes(rng.randrange(600)) for _ in range(5)]
        for envelope in envelopes[:5]:
            flipped = bytearray(envelope)
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
            spoiled += [bytes(flipped), envelope[: rng.randrange(len(envelope))], envelope]
        mixed = envelopes + spoiled
        rng.shuffle(mixed)
        return mixed

    return tamper


def replay_elsewhere() -> Callable[[list[bytes]], list[bytes]]:
    """A lying holder answers with everything it ever saw, under whatever key was asked."""
    seen: dict[bytes, None] = {}

    def tamper(envelopes: list[bytes]) -> list[bytes]:
        seen.update(dict.fromkeys(envelopes))
        return envelopes + list(seen)[-100:]

    return tamper


# In many names -----------------------------------------------------------------------------------------

NAMES = 1_000  # where a move's own names begin


def fake_statuses(count: int) -> Move:
    """`count` names say that they are there, again and again."""

    def move(swarm: Swarm, peer: Peer, number: int) -> None:
        if number % 30 == 0:
            for name in map(key, range(NAMES, NAMES + count)):
                swarm.store_status(peer, make_status(swarm.manifest, name, swarm.now), name.peer_id)

    return move


def siblings(count: int) -> Move:
    """`count` names announce under every key of the round what nobody holds."""
    seen: set[int] = set()

    def move(swarm: Swarm, peer: Peer, number: int) -> None:
        round_ = swarm.manifest.round_at(swarm.now)
        if round_ in seen:
            return
        seen.add(round_)
        for task in range(len(swarm.manifest.tasks)):
            record = make_record(swarm.manifest, task + 10**6 + 300 * round_, swarm.now)
            for name in range(count):
                nothing = b"%d %d %d" % (round_, task, name)
                swarm.announce(peer, announce(key(NAMES + name), record, nothing))

    return move


def crowd(count: int, each: int = 2) -> Move:
    """`count` names, one connection: right answers, `each` a round and name, their bodies in the DHT."""
    rounds: dict[int, int] = {}

    def move(swarm: Swarm, peer: Peer, number: int) -> None:
        round_ = swarm.manifest.round_at(swarm.now)
        first = rounds.get(round_, 0)
        for n in range(first, min(count * each, first + count * each // 12 + 1)):
            rounds[round_] = n + 1
            signer = key(NAMES + n % count)
            record = make_record(swarm.manifest, 10**6 + round_ * 1_000 + n, swarm.now)
            body = sign_record(signer, record)
            swarm.store_body(peer, body)
            swarm.announce(peer, announce(signer, record, body))

    return move
