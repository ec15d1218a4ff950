"""Announcements of records that do not exist, until the shelves of the storing daemons are full.

Far in the future they hinder no reader, and honest announcements find no room; whatever expires is taken
again at once. Of rounds past and present they also stand among what readers find. By one identity, or by 64
over the same connection. The honest pair must go on exchanging groups.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from functools import partial

from tests.hostile.attacker import paced
from tests.hostile.figures import Figure, at_least
from tests.hostile.forging import ITEMS_PER_STORE, Item, store
from tests.hostile.scene import LONG_S, LONG_SETTLE_S, Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

COUNT = 16_250
"""Almost the 16,384 keys of a shelf."""

FILL_S_MAX = 150.0
"""For filling the shelves, on a busy machine; what is not full by then is attacked as it is."""

AT_ONCE = 4
"""Messages under way to each target while its shelf is filled."""

REFILL_PER_S = 8.0
"""Messages of 64 announcements a second to each, once the shelves are full: every freed place is taken."""

FAR_ROUNDS = 1_000_000


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    return (*exchanges(evidence), at_least("announcements sent", evidence.did["sent"], 1_000))


async def fill(ahead: bool, identities: int, scene: Scene) -> Counts:
    attacker = await scene.attacker()
    for target in scene.targets:
        await attacker.enter(target)
    made = _future(scene, identities) if ahead else _around_now(scene, identities)
    counts = {"sent": 0, "held": 0}

    async def send(items: list[Item]) -> None:
        for target in scene.targets:
            counts["held"] += await store(attacker, target, items)
        counts["sent"] += len(items)

    async def keep_filling() -> None:
        deadline = time.monotonic() + FILL_S_MAX
        while counts["sent"] < COUNT and time.monotonic() < deadline:
            await send([next(made) for _ in range(ITEMS_PER_STORE)])

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(keep_filling())
    scene.begin()
    async for _ in paced(REFILL_PER_S, scene.until, 10_000):
        await send([next(made) for _ in range(ITEMS_PER_STORE)])
    return counts


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


def _attack(name: str, what: str, ahead: bool, identities: int, by_default: bool = True) -> Attack:
    return Attack(
        name,
        what,
        partial(fill, ahead, identities),
        judge,
        LONG_S,
        settle_s=LONG_SETTLE_S,
        by_default=by_default,
    )


ATTACKS = (
    _attack(
        "shelf-future-1",
        "one identity, 16,250 announcements for far rounds, each freed place taken",
        ahead=True,
        identities=1,
    ),
    _attack("shelf-future-64", "the same by 64 identities", ahead=True, identities=64, by_default=False),
    _attack("shelf-now-1", "one identity, rounds around now", ahead=False, identities=1, by_default=False),
    _attack("shelf-now-64", "64 identities, rounds around now", ahead=False, identities=64, by_default=False),
)
