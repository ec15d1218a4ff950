"""How much CPU the costliest valid external groups add to a step: `python -m benchmarks.costly_groups`.

The swarm, the model and the groups are those of `tests.hostile turns-costly` and `turns-long`. Each step
writes, scores and trains on own groups and two external ones: honest groups, or one or two of the costly
ones. Measures CPU time of the thread that holds the model, so that other work on the machine matters little.
One process, no network.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import torch

from benchmarks.arguments import positive
from protocol import Manifest, TaskFamily, verify_record
from swarmd.config import LearningConfig
from swarmd.groups import ScoredGroup
from swarmd.learning import Experience, Trainer
from swarmd.model import load_model, locate
from swarmd.policy import Policy
from swarmd.step.own_groups import fitting_questions, own_group
from swarmd.step.playing import in_this_thread, play, score
from swarmd.step.verification import Verification
from swarmd.tasks import FOR_PEERS, TaskRunner, TrainingDraw, load_manifest
from tests.hostile.attacks import turns
from tests.hostile.forging import Forged, Forger, key_of
from tests.hostile.publishing import Asked, draw
from tests.hostile.swarms import written

OWN, EXTERNAL = 4, 2
"""The same as the pairs of `tests.hostile`."""

ME = key_of(0, 0).peer_id

Write = Callable[[Forger, Asked, int], Forged]


class Peer:
    """A peer of that swarm, without a network."""

    def __init__(self, manifest: Manifest, tasks: TaskRunner) -> None:
        self._manifest, self._tasks = manifest, tasks
        model, tokenizer = load_model(locate("embedded"), torch.float32)
        self._policy = Policy(model, tokenizer, max_new_tokens=manifest.max_new_tokens)
        self._trainer = Trainer(self._policy, LearningConfig(learning_rate=1e-9))  # keeps all steps alike
        self._draw = TrainingDraw(manifest, ME, 0)
        self._rng = torch.Generator().manual_seed(0)
        self._experience = Experience()

    async def write(self) -> list[ScoredGroup]:
        """Write the own groups of one step."""
        questions = await fitting_questions(self._draw, self._tasks, self._policy, OWN)
        episodes = await play(
            questions,
            8,
            lambda prompts, completions: self._policy.generate(prompts, completions, rng=self._rng),
            tasks=self._tasks,
            policy=self._policy,
            in_model_thread=in_this_thread,
        )
        groups = [
            own_group(
                question,
                group,
                row,
                manifest=self._manifest,
                policy=self._policy,
                publisher=ME,
                round_=1,
                step=1,
            )
            for question, group, row in zip(
                questions, episodes, await score(self._tasks, questions, episodes), strict=True
            )
        ]
        self._experience.see_own(groups)
        return groups

    def train(self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> float:
        """Take a step. Returns its CPU seconds."""
        began = time.thread_time()
        self._trainer.step(own, external, self._experience.success, own_work=self._experience.own_work)
        return time.thread_time() - began


async def costly(manifest: Manifest, tasks: TaskRunner, name: str, write: Write) -> list[ScoredGroup]:
    """Return two verified groups of that attack."""
    family: TaskFamily = next(family for family in manifest.tasks if family.name == name)
    forger, rng = Forger(manifest, 1), random.Random(1)  # noqa: S311  not a secret
    bodies = [write(forger, draw(family, rng), number).body for number in range(EXTERNAL)]
    records = [verify_record(body, manifest=manifest, now=time.time()) for body in bodies]
    found = await Verification(manifest=manifest, tasks=tasks).check(records)
    return [group for group in found if isinstance(group, ScoredGroup)]


async def measure(steps: int) -> Mapping[str, Sequence[float]]:
    """Return the CPU seconds of each step, by the kind of its external groups."""
    with tempfile.TemporaryDirectory() as directory:
        manifest = load_manifest(written(turns.SWARM, Path(directory)))
    async with TaskRunner(reward=manifest.reward, options=FOR_PEERS) as tasks:
        many = await costly(manifest, tasks, turns.LONGEST_TASK, turns.costly)
        long = await costly(manifest, tasks, "guessing-20", turns.long)
        peer, honest, found = Peer(manifest, tasks), list[ScoredGroup](), dict[str, list[float]]()
        for step in count(1):
            began = time.thread_time()
            own = await peer.write()
            wrote = time.thread_time() - began
            honest += [
                replace(group, external=True, digest=bytes(32)) for group in own if group.is_informative
            ]
            if len(honest) < EXTERNAL or step <= 4:
                continue
            usual, honest = honest[:EXTERNAL], honest[EXTERNAL:]
            for name, external in (
                ("honest", usual),
                ("one of many turns", [usual[0], many[0]]),
                ("two of many turns", many),
                ("one of long text", [usual[0], long[0]]),
                ("two of long text", long),
            ):
                found.setdefault(name, []).append(wrote + peer.train(own, external))
            if len(found["honest"]) == steps:
                return found
    raise AssertionError


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costly_groups", description=__doc__)
    parser.add_argument("--steps", type=positive, default=40)
    found = asyncio.run(measure(parser.parse_args(arguments).steps))
    honest = statistics.fmean(found["honest"])
    print("| groups of others in a step | CPU a step, ms | steps that are left |\n|---|---|---|")
    for name, seconds in found.items():
        mean = statistics.fmean(seconds)
        print(f"| {name} | {1_000 * mean:.0f} | {honest / mean:.2f} |")


if __name__ == "__main__":
    main()
