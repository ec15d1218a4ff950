"""Many identities over one connection publish right answers inside gibberish, bodies inline in the DHT.

Every group is true: the question is the task's, one completion in two is right, and its scores are what the
victim finds. Only the text round the answers is the attacker's. If a draw is a draw of an identity, whoever
has fifty has fifty draws. New identities behind one connection must stay a minority while one honest peer is
there.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count

from protocol import TaskFamily, digest_of
from swarmd.network.streams import BODY_PROTOCOL, PLAIN_BODY_PROTOCOL, as_it_travels
from tests.hostile.attacker import paced
from tests.hostile.figures import Figure, at_least, at_most, true
from tests.hostile.forging import Forged, key_of, store
from tests.hostile.publishing import answer, draw, entered, offer
from tests.hostile.scene import LONG_S, LONG_SETTLE_S, Attack, Counts, Evidence, Scene

SHARE_MAX = 0.25

PER_ROUND = 2
"""Groups of each identity in a round."""


DIGEST_BYTES = 32

Act = Callable[[int, int, Scene], Awaitable[Counts]]
"""(identities, groups of each in a round, scene) -> what was done."""


def judge(identities: int, evidence: Evidence) -> tuple[Figure, ...]:
    fake = frozenset(key_of(evidence.seed, number).peer_id for number in range(1, identities + 1))
    return (
        true("both alive", all(seen.alive for seen in evidence.attacked)),
        *(
            at_most(f"{who} draws bought", seen.share_of(fake), SHARE_MAX)
            for who, seen in zip(("V", "H"), evidence.attacked, strict=True)
        ),
        at_least("H's groups drawn by V", evidence.victim.used[evidence.peer.peer_id], 1),
        at_least("groups published", evidence.did["published"], 10),
    )


class Author:
    """Writes groups with right answers to questions of the swarm's own tasks."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._rng: random.Random = scene.rng
        self._numbers = count(1)

    def write(self, number: int) -> tuple[TaskFamily, Forged]:
        """One group by the identity of that number."""
        forger = self._scene.forger
        asked = draw(self._rng.choice(forger.manifest.tasks), self._rng)
        right, wrong = answer(asked.right), answer("7x")
        completions = [(self._gibberish() + right, 1.0), (self._gibberish() + wrong, 0.0)] * 4
        return asked.family, forger.record(forger.key(number), asked.spec, asked.text, completions)

    def _gibberish(self) -> str:
        words = ("zorp", "blik", "qua", "vex", "mim", "dra")
        return " ".join(self._rng.choice(words) for _ in range(8)) + f" {next(self._numbers)} "


async def publish(identities: int, per_round: int, scene: Scene) -> Counts:
    """Over one connection, bodies inline."""
    attacker = await entered(scene)
    author, published, held = Author(scene), 0, 0
    pace = identities * per_round / scene.forger.manifest.round_seconds
    async for number in paced(pace, scene.until, 100_000):
        family, forged = author.write(number % identities + 1)
        held += await offer(scene, attacker, family, forged)
        published += 1
    return {"published": published, "held": held}


async def serve(identities: int, per_round: int, scene: Scene) -> Counts:
    """Each identity a peer of its own: a p2pd that is connected, has a status, and serves its bodies."""
    attackers = [await scene.attacker(number) for number in range(1, identities + 1)]
    author, bodies = Author(scene), dict[bytes, bytes]()
    served = published = 0

    async def hand_out(
        protocol: str, _info: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        nonlocal served
        try:
            body = bodies.get(await reader.readexactly(DIGEST_BYTES))
            reply = b"" if body is None else as_it_travels(protocol, body)
            writer.write(bytes([body is None]) + len(reply).to_bytes(4, "big") + reply)
            await writer.drain()
            await reader.read(1)
            served += 1
        except (OSError, EOFError):
            return
        finally:
            writer.close()

    for attacker in attackers:
        for protocol in (BODY_PROTOCOL, PLAIN_BODY_PROTOCOL):
            await attacker.serve(protocol, partial(hand_out, protocol))
        for target in scene.targets:
            await attacker.enter(target)
    scene.begin()
    pace = identities * per_round / scene.forger.manifest.round_seconds
    async for number in paced(pace, scene.until, 100_000):
        attacker = attackers[number % identities]
        family, forged = author.write(number % identities + 1)
        bodies[digest_of(forged.body)] = forged.body
        items = [scene.forger.announce(forged, family)]
        if number < identities:
            items.append(scene.forger.status(attacker.key, addresses=tuple(await attacker.addresses())))
        for target in scene.targets:
            await store(attacker, target, items)
        published += 1
    return {"published": published, "served": served}


def _attack(
    name: str,
    what: str,
    identities: int,
    per_round: int,
    *options: str,
    how: Act = publish,
    by_default: bool = False,
) -> Attack:
    return Attack(
        name,
        what,
        partial(how, identities, per_round),
        partial(judge, identities),
        LONG_S,
        options=options,
        settle_s=LONG_SETTLE_S,
        by_default=by_default,
    )


ATTACKS = (
    _attack(
        "draws-50",
        "50 identities over one connection, right answers inside gibberish, bodies inline",
        50,
        PER_ROUND,
        by_default=True,
    ),
    _attack("draws-1", "one identity alone", 1, 60),
    _attack("draws-200", "200 identities, one group each a round", 200, 1),
    _attack("draws-hungry", "50 identities, steps that ask for more", 50, PER_ROUND, "--external", "4"),
    _attack(
        "draws-served", "eight peers of one address that serve their bodies themselves", 8, 12, how=serve
    ),
)
