"""The attacker's process: `python -m tests.hostile.acting`, started by the runner.

One line of JSON on stdin says what to do; the answer is one line of JSON: what was done, and the CPU time
that it took. A process of its own, so that neither slows down the other's event loop.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from protocol import Manifest
from tests.hostile.attacker import Target
from tests.hostile.scene import Attack, scene

GRACE_S = 400.0
"""Beyond an attack's own time: for preparing it, some shelves take a minute to fill, and for its end."""


def start(
    attack: Attack, first: Target, second: Target, manifest: Manifest, seed: int, seconds: float
) -> Any:
    """Begin the attack in a process of its own; `finish` waits for it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.hostile.acting"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    order = {
        "attack": attack.name,
        "targets": [first.address, second.address],
        "manifest": manifest.to_bytes().hex(),
        "seed": seed,
        "seconds": seconds,
    }
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return process


def finish(process: Any, seconds: float) -> Mapping[str, float]:
    """What the attack did. Raises RuntimeError with its last words if it broke."""
    try:
        out, err = process.communicate(timeout=seconds + GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
    lines = out.strip().splitlines()
    if process.returncode != 0 or not lines:
        raise RuntimeError(f"the attack itself broke ({process.returncode}):\n{err[-3_000:]}")
    done: dict[str, float] = json.loads(lines[-1])
    return done


async def _act(attack: Attack, order: Mapping[str, Any]) -> dict[str, float]:
    first, second = map(Target, order["targets"])
    manifest = Manifest.from_bytes(bytes.fromhex(order["manifest"]))
    async with scene(first, second, manifest, order["seed"], order["seconds"]) as opened:
        did = dict(await attack.act(opened))
        did["began"] = opened.began
    return did


def main() -> None:
    from tests.hostile.attacks import PAIR_ATTACKS

    order = json.loads(sys.stdin.readline())
    did = asyncio.run(_act(PAIR_ATTACKS[order["attack"]], order))
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    did["cpu_s"] = sum(each.ru_utime + each.ru_stime for each in used)
    print(json.dumps(did), flush=True)


if __name__ == "__main__":
    main()
