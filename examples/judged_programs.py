"""Programs as answers, judged by running them: `python examples/judged_programs.py`. Needs no model.

Asks one question of the swarm `code`, answers with programs of several kinds, and prints what each earns.
Then prints the cost of judging: CPU time per program, and memory of the process that forks the cells.
"""

import asyncio

import psutil

from swarmd.tasks import TaskRunner, load_manifest
from swarmd.tasks.manifest import task_spec

PROGRAMS = {
    "right": "def solve(n):\n    return n % 10 + {c}",
    "right, another way": "def solve(n):\n    while n > 9:\n        n -= 10 * (n // 10)\n    return n + {c}",
    "right for one digit": "def solve(n):\n    return n + {c} if n < 10 else n",
    "reads a file": "def solve(n):\n    return open('/etc/passwd').read()",
    "writes its own verdict": "import os\nos.write(3, b'right')\ndef solve(n):\n    return 0",
    "never ends": "def solve(n):\n    while True: pass",
    "no program": "The last digit, plus {c}.",
}
GROUP = 8  # completions, as in training
GROUPS = 5


async def main() -> None:
    manifest = load_manifest("code")
    [family] = [family for family in manifest.tasks if family.name == "digits"]
    async with TaskRunner(reward=manifest.reward) as runner:
        spec = task_spec(family, 7)
        [question], [solution] = await runner.questions([spec]), await runner.expected([spec])
        print(question.text)
        added = solution.rpartition(" ")[2]
        texts = [f"<answer>{text.format(c=added)}</answer>" for text in PROGRAMS.values()]
        [scores] = await runner.score([(spec, texts)])
        for name, score in zip(PROGRAMS, scores, strict=True):
            print(f"  {score.reward:.0f}  {name}{f' ({score.failure})' if score.failure else ''}")

        specs = [task_spec(family, seed) for seed in range(GROUPS)]
        solutions = await runner.expected(specs)
        groups = [[f"<answer>{each}  # {n}</answer>" for n in range(GROUP)] for each in solutions]
        before = runner.cpu_s
        await runner.score(list(zip(specs, groups, strict=True)))
        print(f"{(runner.cpu_s - before) / GROUPS / GROUP * 1000:.0f} ms of CPU per program")
        worker = psutil.Process(runner.worker_pid)
        [nursery] = worker.children()
        print(f"{nursery.memory_full_info().uss / 2**20:.0f} MiB for the process that forks the cells")


if __name__ == "__main__":
    asyncio.run(main())
