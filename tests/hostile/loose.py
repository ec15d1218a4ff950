"""`python -m tests.hostile.loose KIND`: an attacker that goes on until its standard input ends.

`swarmd testnet --attackers` starts it. It judges nothing. After each round of attack it prints one line of
JSON, in the form of a daemon's event: what it did, in numbers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from itertools import count
from pathlib import Path

from protocol import Manifest
from tests.hostile.attacker import Target
from tests.hostile.attacks import PAIR_ATTACKS
from tests.hostile.scene import Attack, scene

ROUND_S = 30.0
"""Of one round; the next begins at once, with the same keys."""

READ_BYTES = 4_096


async def attack_until_input_ends(
    attack: Attack, targets: tuple[Target, Target], manifest: Manifest, seed: int
) -> None:
    ended = asyncio.Event()

    def read() -> None:
        if not os.read(sys.stdin.fileno(), READ_BYTES):
            ended.set()
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())

    asyncio.get_running_loop().add_reader(sys.stdin.fileno(), read)
    async with asyncio.TaskGroup() as group:
        attacking = group.create_task(_rounds(attack, targets, manifest, seed))
        await ended.wait()
        attacking.cancel()


async def _rounds(attack: Attack, targets: tuple[Target, Target], manifest: Manifest, seed: int) -> None:
    for number in count(1):
        _say(number, attack, {})
        async with scene(*targets, manifest, seed, ROUND_S) as opened:
            did = await attack.act(opened)
        _say(number, attack, {name: round(float(figure), 3) for name, figure in did.items()})


def _say(number: int, attack: Attack, did: dict[str, float]) -> None:
    name = "attacked" if did else "attacking"
    print(json.dumps({"event": name, "level": "info", "round": number, "kind": attack.name, **did}))
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.loose", description=__doc__)
    parser.add_argument("kind", choices=sorted(PAIR_ATTACKS))
    parser.add_argument("--target", action="append", required=True, metavar="ADDRESS", help="one or two")
    parser.add_argument("--manifest", type=Path, required=True, help="as a home keeps it")
    parser.add_argument("--seed", type=int, default=1, help="of keys, texts and order")
    options = parser.parse_args()
    first, *others = map(Target, options.target)
    manifest = Manifest.from_bytes(options.manifest.read_bytes())
    targets = (first, others[0] if others else first)
    asyncio.run(attack_until_input_ends(PAIR_ATTACKS[options.kind], targets, manifest, options.seed))


if __name__ == "__main__":
    main()
