"""Chooses the questions that a peer trains on and is evaluated on. Both choices are derived from hashes.

Seeds are hashed for two reasons: neighbouring seeds of reasoning-gym share questions (item = seed + index),
and two peers with the same configured seed must still get different questions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, cycle, islice
from typing import Protocol

from protocol import Manifest, PeerId, TaskFamily, TaskSpec, encode
from protocol.limits import TASKS_MAX
from swarmd.errors import TaskError
from swarmd.tasks.judge_rules import judges_of
from swarmd.tasks.manifest import task_spec
from swarmd.tasks.outcomes import Question, TaskFailure
from swarmd.tasks.runner import TaskRunner

_SEED_BITS = 31  # some datasets add to the seed and pass it to numpy, whose seeds end at 2**32 - 1
_ROUNDS_MAX = 24  # of replacing held-out questions: one in ten is held out, so two or three are enough
_CANDIDATES_PER_HELD_OUT = 40  # one in ten is held out, so this is four times as many as needed
_CANDIDATES_MIN = 256
_PARTS = 1_000_000  # resolution of a probability


class NoHeldOutQuestionError(TaskError):
    """There are too few different questions: none of them is held out."""


class TrainingDraw:
    """The endless sequence of this peer's training questions.

    Its whole state is `counter` and the families' probabilities.
    """

    def __init__(self, manifest: Manifest, peer_id: PeerId, seed: int, counter: int = 0) -> None:
        self.families = manifest.tasks
        self._weights = list(accumulate(family.weight for family in manifest.tasks))
        self._below = self._weights
        self._peer_id = peer_id
        self._seed = seed
        self.counter = counter

    def lean(self, probabilities: Sequence[float] | None) -> None:
        """Draw families with these probabilities from now on, one per family; None restores their weights.

        Raises ValueError unless there is one probability per family, none negative and at least one above 0.
        """
        if probabilities is None:
            self._below = self._weights
            return
        parts = [round(each * _PARTS) for each in probabilities]
        if len(parts) != len(self.families) or min(parts) < 0 or not any(parts):
            raise ValueError("a draw needs one probability per task family, at least one of them above 0")
        self._below = list(accumulate(parts))

    async def draw(self, runner: TaskRunner, count: int) -> list[Question]:
        """The next `count` questions, none of them held out. Raises TaskError if the tasks yield too few.

        Questions that cannot be generated are skipped.
        """
        drawn: list[Question] = []
        failure: TaskFailure | None = None
        for _ in range(_ROUNDS_MAX):
            if len(drawn) == count:
                return drawn
            for found in await runner.questions([self.next_spec() for _ in range(count - len(drawn))]):
                if isinstance(found, TaskFailure):
                    failure = found
                elif not found.held_out:
                    drawn.append(found)
        if len(drawn) == count:
            return drawn
        why = _why(failure) or "all are held out"
        raise TaskError(f"only {len(drawn)} of {count} training questions could be drawn ({why})")

    def next_spec(self) -> TaskSpec:
        """The next task spec. Its question may be held out, or may fail to generate."""
        digest = _hash(["train", self._peer_id, self._seed, self.counter])
        self.counter += 1
        ticket = int.from_bytes(digest[:8], "big") % self._below[-1]
        family = next(f for f, below in zip(self.families, self._below, strict=True) if ticket < below)
        agreed = _agreed(family)
        if agreed is None:
            return task_spec(family, _seed_of(digest))
        return task_spec(family, agreed[int.from_bytes(digest[12:20], "big") % len(agreed)])


def agreed_seeds(family: TaskFamily) -> frozenset[int] | None:
    """The seeds of the questions that the whole swarm asks, if the task is judged by agreement; else None."""
    agreed = _agreed(family)
    return None if agreed is None else frozenset(agreed)


@lru_cache(maxsize=TASKS_MAX)
def _agreed(family: TaskFamily) -> tuple[int, ...] | None:
    for rule in judges_of(family.config):
        if rule.kind == "agreement":
            return tuple(_seed_of(_hash(["agreed", family.task_id, n])) for n in range(rule.questions))
    return None


class HeldOutSource(Protocol):
    """The part of `TaskRunner` needed to find held-out questions."""

    async def held_out(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...


def held_out_seed(manifest: Manifest) -> int:
    """The seed of the evaluation questions, the same for all peers of a swarm."""
    return int.from_bytes(manifest.swarm_id[:4], "big")


def example_specs(family: TaskFamily, start: int, count: int) -> list[TaskSpec]:
    """Specs `start` to `start + count - 1` of the family's examples, the same on every machine."""
    return [
        task_spec(family, _seed_of(_hash(["example", family.task_id, index])))
        for index in range(start, start + count)
    ]


async def held_out_questions(
    runner: HeldOutSource, tasks: Sequence[TaskFamily], seed: int, count: int
) -> list[Question]:
    """`count` held-out questions, spread evenly over `tasks`, the same for the same seed on every machine.

    Questions are distinct if the datasets are large enough; otherwise they repeat. If a task has no held-out
    question, its share goes to the other tasks. Raises NoHeldOutQuestionError if no task has any.
    """
    shares = [count // len(tasks) + (index < count % len(tasks)) for index in range(len(tasks))]
    found = [
        await _held_out_of(runner, family, seed, share)
        for family, share in zip(tasks, shares, strict=True)
        if share
    ]
    questions = [question for part, _ in found for question in part]
    pool = [question for part, _ in found for question in {each.digest: each for each in part}.values()]
    if not pool:
        names = ", ".join(family.name for family in tasks)
        why = next((f" ({_why(failure)})" for _, failure in found if failure is not None), "")
        raise NoHeldOutQuestionError(f"no held-out question was found in {names}{why}")
    return [*questions, *islice(cycle(pool), count - len(questions))]


async def _held_out_of(
    runner: HeldOutSource, family: TaskFamily, seed: int, share: int
) -> tuple[list[Question], TaskFailure | None]:
    """The questions of one task, and the last failure to generate one."""
    distinct: dict[bytes, Question] = {}
    failure: TaskFailure | None = None
    candidates = max(_CANDIDATES_MIN, share * _CANDIDATES_PER_HELD_OUT)
    batch = max(64, 4 * share)
    for start in range(0, candidates, batch):
        digests = [_hash(["held out", family.task_id, seed, index]) for index in range(start, start + batch)]
        for found in await runner.held_out([task_spec(family, _seed_of(digest)) for digest in digests]):
            if isinstance(found, Question):
                distinct.setdefault(found.digest, found)
            else:
                failure = found
        if len(distinct) >= share:
            break
    questions = list(distinct.values())
    return list(islice(cycle(questions), share)) if questions else [], failure


def _why(failure: TaskFailure | None) -> str | None:
    return None if failure is None else f"{failure.spec.dataset}: {failure.reason} {failure.detail}"


def _hash(parts: list[object]) -> bytes:
    return hashlib.sha256(encode(["swarmd/draw", *parts])).digest()


def _seed_of(digest: bytes) -> int:
    return int.from_bytes(digest[8:12], "big") >> (32 - _SEED_BITS)
