"""What a request to the sandboxed worker costs, by its number of questions, with and without huge pages.

    python -m benchmarks.requests            # some ten seconds of CPU time

Prints medians of the CPU milliseconds that the worker used, its children included. Both columns come from the
same run, in alternation. On other systems than Linux there are no huge pages, and they are alike.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import sys
from contextlib import AsyncExitStack
from statistics import median

from benchmarks.arguments import positive
from protocol import Manifest, TaskSpec
from swarmd.tasks import TaskRunner, load_manifest
from swarmd.tasks.manifest import task_spec

QUESTIONS = (1, 4, 8, 32)
COMPLETIONS = 8  # per question
REPEATS = 25
PR_SET_THP_DISABLE = 41  # prctl(2): inherited by processes started afterwards


def forbid_huge_pages(*, forbid: bool) -> None:
    """Apply to processes that are started from now on."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_THP_DISABLE, *map(ctypes.c_ulong, (forbid, 0, 0, 0)))


def specs(manifest: Manifest, repeat: int, count: int) -> list[TaskSpec]:
    """Return `count` questions, of all tasks in turn, that no other repeat has."""
    families = manifest.tasks
    return [task_spec(families[n % len(families)], 1000 * repeat + n) for n in range(count)]


async def cost(runner: TaskRunner, asked: list[TaskSpec]) -> tuple[float, float]:
    """Return the CPU seconds of making the questions, and of scoring `COMPLETIONS` answers to each."""
    before = runner.cpu_s
    await runner.questions(asked)
    made = runner.cpu_s
    await runner.score([(spec, ["<answer>12</answer>"] * COMPLETIONS) for spec in asked])
    return made - before, runner.cpu_s - made


async def measure(preset: str, repeats: int) -> None:
    """Measure and print."""
    manifest = load_manifest(preset)
    runners: list[TaskRunner] = []
    async with AsyncExitStack() as stack:
        for forbid in (True, False):
            forbid_huge_pages(forbid=forbid)
            runners.append(await stack.enter_async_context(TaskRunner(reward=manifest.reward)))
        print("CPU ms per request      small pages  huge pages")
        for count in QUESTIONS:
            found = [
                [await cost(runner, specs(manifest, repeat, count)) for runner in runners]
                for repeat in range(repeats)
            ]
            for column, what in enumerate((f"{count} questions", f"{count} groups scored")):
                small, huge = (median(pair[side][column] for pair in found) for side in (0, 1))
                print(f"{what:24}{1000 * small:11.1f}{1000 * huge:12.1f}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="starter")
    parser.add_argument("--repeats", type=positive, default=REPEATS)
    given = parser.parse_args()
    asyncio.run(measure(given.preset, given.repeats))
