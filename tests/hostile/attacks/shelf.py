"""Announcements of records that do not exist, until the shelves of the storing daemons are full.

Far in the future they hinder no reader, and honest announcements find no room; whatever expires is taken
again at once. Of rounds past and present they also stand among what readers find. By one identity, or by 64
over the same connection. The honest pair must go on exchanging groups.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

from tests.hostile.attacker import paced
from tests.hostile.attacks.statuses import exchanges
from tests.hostile.figures import Figure, at_least
from tests.hostile.forging import ITEMS_PER_STORE, Item, store
from tests.hostile.scene import Attack, Counts, Evidence, Scene

COUNT = 16_250
"""Almost the 16,384 keys of a shelf."""

PER_S = 60.0
"""Messages of 64 announcements a second, to both targets together."""

FAR_ROUNDS = 1_000_000

REFILL = 8
"""Messages of further announcements a second, once the shelf is full: every freed place is taken again."""


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    return (*exchanges(evidence), at_least("announcements sent", evidence.did["sent"], 1_000))


async def fill(ahead: bool, identities: int, scene: Scene) -> Counts:
    attacker = await scene.attacker()
    for target in scene.targets:
        await attacker.enter(target)
    made = _future(scene, identities) if ahead else _around_now(scene, identities)
    sent = held = 0
    async for number in paced(PER_S / 2, scene.until, 100_000):
        if number > COUNT // ITEMS_PER_STORE and number % round(PER_S / REFILL):
            continue
        items = [next(made) for _ in range(ITEMS_PER_STORE)]
        for target in scene.targets:
            held += await store(attacker, target, items)
        sent += len(items)
    return {"sent": sent, "held": held}


def _future(scene: Scene, identities: int) -> Iterator[Item]:
    """Each under a key of its own."""
    forger = scene.forger
    keys = [forger.key(number) for number in range(1, identities + 1)]
    number = 0
    while True:
        for family in forger.manifest.tasks:
            expires = int(time.time()) + 21_000
            yield forger.announcement(
                keys[number % identities], family, forger.round + FAR_ROUNDS + number, expires=expires
            )
            number += 1


def _around_now(scene: Scene, identities: int) -> Iterator[Item]:
    """Of the rounds that readers read, and of older ones."""
    forger = scene.forger
    keys = [forger.key(number) for number in range(1, identities + 1)]
    number = 0
    while True:
        for back in range(8):
            for family in forger.manifest.tasks:
                yield forger.announcement(keys[number % identities], family, forger.round - back)
                number += 1


ATTACKS = (
    Attack(
        "shelf-future-1",
        "one identity, 16,250 announcements for far rounds, each freed place taken",
        partial(fill, True, 1),
        judge,
        seconds=90,
        settle_s=40,
    ),
    Attack(
        "shelf-future-64",
        "the same by 64 identities",
        partial(fill, True, 64),
        judge,
        seconds=90,
        settle_s=40,
        by_default=False,
    ),
    Attack(
        "shelf-now-1", "one identity, the rounds around now", partial(fill, False, 1), judge, by_default=False
    ),
    Attack("shelf-now-64", "64 identities, the rounds around now", partial(fill, False, 64), judge),
)
