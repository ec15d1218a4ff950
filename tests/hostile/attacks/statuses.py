"""One connection, hundreds of signed statuses of peers that do not exist.

Each is sound: signed by its own key, under its own membership key. Whoever believes them believes in a swarm
of hundreds, searches as many shards as such a swarm would need, and finds nobody. The honest pair must go on
exchanging groups.
"""

from __future__ import annotations

from functools import partial

from tests.hostile.attacker import paced
from tests.hostile.figures import Figure, at_least
from tests.hostile.forging import store
from tests.hostile.scene import Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

AGAIN_S = 20.0
"""Seconds between two rounds of storing them all again."""


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    return (
        *exchanges(evidence),
        at_least("statuses sent", evidence.did["sent"], 100),
    )


async def flood(count: int, lifetime_s: int, addresses: bool, scene: Scene) -> Counts:
    """`addresses`: each claims the attacker's own address for its peer id."""
    attacker = await scene.attacker()
    own = (await attacker.addresses())[0].rpartition("/p2p/")[0]
    for target in scene.targets:
        await attacker.enter(target)
    held = sent = 0
    async for _ in paced(1 / AGAIN_S, scene.until, 100):
        items = []
        for number in range(1, count + 1):
            key = scene.forger.key(number)
            claimed = (f"{own}/p2p/{key.peer_id}",) if addresses else ()
            items.append(scene.forger.status(key, lifetime_s, addresses=claimed))
        for target in scene.targets:
            held += await store(attacker, target, items)
        sent += 2 * count
    return {"sent": sent, "held": held}


ATTACKS = (
    Attack(
        "statuses-1000",
        "1,000 signed statuses from one connection",
        partial(flood, 1_000, 3_600, False),
        judge,
    ),
    Attack(
        "statuses-883",
        "883 of them, each with an address",
        partial(flood, 883, 3_600, True),
        judge,
        by_default=False,
    ),
    Attack("statuses-100", "100 of them", partial(flood, 100, 3_600, False), judge, by_default=False),
    Attack(
        "statuses-short",
        "1,000 of them that live as long as honest ones",
        partial(flood, 1_000, 120, False),
        judge,
        by_default=False,
    ),
)
