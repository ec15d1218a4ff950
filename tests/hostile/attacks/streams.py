"""17 identities with a p2pd each keep four streams open on the victim's pull protocol, and say nothing.

That is as many streams as the victim serves at once. A pull by somebody honest must still be answered, and
the victim must not be held to account by its peers for being busy.
"""

from __future__ import annotations

import asyncio
from functools import partial

from swarmd.network.streams import BODY_PROTOCOL
from tests.hostile.attacker import ATTACKER_HOST, Attacker, paced
from tests.hostile.figures import Figure, at_least, at_most, share, true
from tests.hostile.scene import Attack, Counts, Evidence, Scene

STREAMS_EACH = 4
BUSY = 2
BUSY_SHARE_MAX = 0.2
EXTERNAL_SHARE_MIN = 0.8
HONEST_HOST = "127.0.0.1"
HONEST_PULLS_PER_S = 0.7
HONEST_NUMBER = 1_000
"""Of the honest stranger's key."""


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    did, peer = evidence.did, evidence.peer
    drawn = peer.used[evidence.victim.peer_id] / max(1, peer.steps)
    return (
        true("both alive", all(seen.alive for seen in evidence.attacked)),
        at_most("honest pulls busy or unanswered", share(did["busy"], did["pulls"]), BUSY_SHARE_MAX),
        at_least(
            "V's groups drawn by H/control", share(drawn, evidence.control_external), EXTERNAL_SHARE_MIN
        ),
        true("V not ignored by H", evidence.victim.peer_id not in str(peer.status.get("ignored", ""))),
        at_least("silent streams opened", did["opened"], 10),
    )


async def sit(identities: int, hosts: bool, scene: Scene) -> Counts:
    """`hosts`: each identity from an address of its own."""
    places = [f"127.66.1.{number}" if hosts else ATTACKER_HOST for number in range(1, identities + 1)]
    attackers = [await scene.attacker(index, host) for index, host in enumerate(places)]
    honest = await scene.attacker(HONEST_NUMBER, HONEST_HOST)
    for attacker in [*attackers, honest]:
        await attacker.dial(scene.first)
    scene.begin()
    counts = {"opened": 0, "pulls": 0, "busy": 0}
    async with asyncio.TaskGroup() as group:
        for attacker in attackers:
            for _ in range(STREAMS_EACH):
                group.create_task(_keep_silent(scene, attacker, counts))
        group.create_task(_pull_honestly(scene, honest, counts))
    return counts


async def _keep_silent(scene: Scene, attacker: Attacker, counts: dict[str, int]) -> None:
    """One silent stream after the other: whenever the victim closes it, the next is opened."""
    async for _ in paced(2.0, scene.until, 1_000):
        opened = await attacker.stream(scene.first, BODY_PROTOCOL)
        if opened is None:
            continue
        counts["opened"] += 1
        reader, writer = opened
        try:
            async with asyncio.timeout_at(asyncio.get_running_loop().time() + 30):
                await reader.read(1)
        except (OSError, TimeoutError):
            continue
        finally:
            writer.close()


async def _pull_honestly(scene: Scene, honest: Attacker, counts: dict[str, int]) -> None:
    """Ask for a body now and then, as a peer does; the victim need not have it to answer."""
    await asyncio.sleep(5)  # the silent ones come first
    async for _ in paced(HONEST_PULLS_PER_S, scene.until - 5, 1_000):
        counts["pulls"] += 1
        counts["busy"] += not await _is_answered(scene, honest)


async def _is_answered(scene: Scene, honest: Attacker) -> bool:
    opened = await honest.stream(scene.first, BODY_PROTOCOL)
    if opened is None:
        return False
    reader, writer = opened
    try:
        async with asyncio.timeout(5):
            writer.write(scene.rng.randbytes(32))
            await writer.drain()
            header = await reader.readexactly(5)
            return header[0] != BUSY
    except (OSError, EOFError, TimeoutError):
        return False
    finally:
        writer.close()


ATTACKS = (
    Attack("streams-17", "17 identities with four silent streams each", partial(sit, 17, False), judge),
    Attack(
        "streams-17-hosts", "the same from an address each", partial(sit, 17, True), judge, by_default=False
    ),
)
