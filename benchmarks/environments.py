"""Which environments of other packages work as tasks.

    python -m benchmarks.environments [textarena|verifiers]

Each is created twice, as when a manifest is loaded, and asked for 16 questions; then it scores junk. Prints a
Markdown table with one line per kind of game. docs/environments.md has one of them.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from protocol import Manifest, TaskFamily
from swarmd.tasks import Question, TaskFailure, TaskRunner, WorkerOptions, find_payers, task_spec
from swarmd.tasks.outside import BY_SEED_ALONE
from swarmd.tasks.source import FROM_OUTSIDE, find_sources
from swarmd.tasks.trying import try_tasks

SEEDS = 16  # questions requested of each: enough to see whether they differ
TOO_SLOW = "takes longer than the 20 s that a question may take"
_VARIANT = re.compile(r"-v\d+.*")


@dataclass(frozen=True)
class Found:
    """Results for one environment. `why` is empty if it works."""

    name: str
    why: str = ""
    turns: int = 1
    alike: bool = False
    junk: str = ""

    @property
    def verdict(self) -> str:
        """For the table."""
        if self.why:
            return self.why
        note = "begins alike for all seeds" if self.alike else ""
        return "; ".join(filter(None, ("works", note, self.junk)))


async def _measured(source: str, version: str, names: Sequence[str]) -> list[Found]:
    found = []
    async with TaskRunner(reward="partial") as runner:
        for name in names:
            family = TaskFamily(
                name="task", source=source, dataset=name, config="{}", version=version, weight=1
            )
            asked = await runner.questions([task_spec(family, seed) for seed in range(SEEDS)])
            questions = [each for each in asked if isinstance(each, Question)]
            if len(questions) < SEEDS:
                reasons = {each.reason for each in asked if isinstance(each, TaskFailure)}
                found.append(Found(name, f"some seeds fail: {', '.join(sorted(reasons))}"))
                continue
            payers = await find_payers(runner, _manifest(family))
            junk = f"pays {payers[0].reward:.2f} for {payers[0].answer!r}" if payers else ""
            alike = questions[0].hidden.startswith(BY_SEED_ALONE)
            found.append(Found(name, "", questions[0].turns, alike, junk))
    return found


def _manifest(family: TaskFamily) -> Manifest:
    return Manifest(
        name="environments", genesis=0, round_seconds=15, reward="partial", max_new_tokens=16,
        records_per_round_max=64, tasks=(family,),
    )  # fmt: skip


def environments(source: str) -> list[Found]:
    """Return every environment that `source` knows. Raises TaskError."""
    names = sorted(find_sources()[source].datasets())
    versions, outcomes = try_tasks([(source, name, "{}") for name in names], WorkerOptions())
    tried = dict(zip(names, outcomes, strict=True))
    works = [name for name in names if tried[name][0] is True]
    found = {each.name: each for each in asyncio.run(_measured(source, versions[source], works))}
    for name in names:
        if name not in found:
            _, kind, detail, _ = tried[name]
            text = str(detail).removeprefix(f"{name} ")
            found[name] = Found(
                name, text if kind == "dataset" else TOO_SLOW if kind == "timeout" else f"{kind}: {text}"
            )
    return [found[name] for name in names]


def table(found: Sequence[Found]) -> str:
    """Return one row per game and verdict, so that variants share a row."""
    rows: defaultdict[tuple[str, str], list[Found]] = defaultdict(list)
    for each in found:
        rows[_VARIANT.sub("", each.name), each.verdict].append(each)
    lines = ["| environment | variants | turns | result |", "|---|---|---|---|"]
    several = [each for each in found if each.why == "needs several players"]
    for (game, verdict), some in rows.items():
        if verdict != "needs several players":
            turns = {each.turns for each in some if not each.why}
            span = f"{min(turns)} to {max(turns)}" if len(turns) > 1 else str(*turns)
            lines.append(f"| {game} | {len(some)} | {span} | {verdict} |")
    if several:
        games = len({_VARIANT.sub("", each.name) for each in several})
        lines.append(f"| {games} other games | {len(several)} | | need several players |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "source", nargs="?", choices=tuple(FROM_OUTSIDE), help="default: all that are installed"
    )
    given = parser.parse_args()
    there = find_sources()
    for source in [given.source] if given.source else [name for name in FROM_OUTSIDE if name in there]:
        if source not in there:
            parser.error(f"{source} is not installed: pip install 'swarmd[{source}]'")
        print(f"\n{source} {there[source].version}\n\n{table(environments(source))}", flush=True)


if __name__ == "__main__":
    main()
