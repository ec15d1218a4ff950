"""64 identities over one connection take the 64 places of the coming rounds' keys.

Each key of a round, task and shard holds 64 entries. One sibling of each of 64 takes one, before the round
begins, with the announcement of a body that does not exist. Honest announcements find no room, and whoever
pulls the siblings' bodies wastes a pull. The honest pair must go on exchanging groups, and soon stop asking.
"""

from __future__ import annotations

from functools import partial

from protocol import shard_of
from tests.hostile.attacker import paced
from tests.hostile.figures import Figure, at_least, at_most
from tests.hostile.forging import key_of, store
from tests.hostile.scene import LONG_S, LONG_SETTLE_S, Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

AHEAD = 4
"""Rounds before it begins that a round's keys are taken."""

FAILED_PULLS_PER_MINUTE_MAX = 30.0
"""Of each of both: one every other second, where an honest pull is made about once a second."""


def judge(siblings: int, evidence: Evidence) -> tuple[Figure, ...]:
    fake = frozenset(key_of(evidence.seed, number).peer_id for number in range(1, siblings + 1))
    wasted = max(seen.rejected_of(fake) / seen.seconds * 60 for seen in evidence.attacked)
    return (
        *exchanges(evidence),
        at_most("pulls wasted a minute", wasted, FAILED_PULLS_PER_MINUTE_MAX),
        at_least("announcements sent", evidence.did["sent"], 100),
    )


async def take(siblings: int, shards: int, scene: Scene) -> Counts:
    attacker = await scene.attacker()
    for target in scene.targets:
        await attacker.enter(target)
    forger = scene.forger
    keys = [forger.key(number) for number in range(1, siblings + 1)]
    done: set[tuple[int, int]] = set()
    held = sent = 0
    async for _ in paced(2.0, scene.until, 10_000):
        now = forger.round
        for round_ in range(now, now + AHEAD + 1):
            for index, family in enumerate(forger.manifest.tasks):
                if (round_, index) in done or scene.over:
                    continue
                done.add((round_, index))
                items = [
                    forger.announcement(
                        key, family, round_, shard=shard_of(key.peer_id, family.task_id, shards)
                    )
                    for key in keys
                ]
                for target in scene.targets:
                    held += await store(attacker, target, items)
                sent += len(items)
    return {"sent": sent, "held": held}


def _attack(name: str, what: str, siblings: int, shards: int, by_default: bool = False) -> Attack:
    return Attack(
        name,
        what,
        partial(take, siblings, shards),
        partial(judge, siblings),
        LONG_S,
        settle_s=LONG_SETTLE_S,
        by_default=by_default,
    )


ATTACKS = (
    _attack(
        "places-64", "64 identities over one connection take every place of coming rounds' keys", 64, 1, True
    ),
    _attack("places-200", "200 identities on the same places", 200, 1),
    _attack("places-4-shards", "64 identities spread over four shards", 64, 4),
)
