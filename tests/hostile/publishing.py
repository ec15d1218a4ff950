"""Publishing groups, as all attacks by records do: questions of the swarm's own tasks, bodies inline.

The attacker makes each question as everybody does, so that its groups are about something. What they say is
the attack's own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from protocol import TaskFamily, TaskSpec, is_digest_held_out
from swarmd.images import Images
from swarmd.tasks.draw import agreed_seeds
from swarmd.tasks.episodes import digest_of, hidden_part, turns_of
from swarmd.tasks.imaging import images_for
from swarmd.tasks.judge_rules import without_judges
from swarmd.tasks.manifest import task_spec
from tests.hostile.attacker import Attacker, paced
from tests.hostile.forging import Forged, Forger, store
from tests.hostile.scene import Counts, Scene

GROUPS_PER_S = 1.0
"""Of an attack that is not about their number."""

GROUPS_MAX = 10_000


@dataclass(frozen=True)
class Asked:
    """A question that may be trained on, with all that its task knows."""

    family: TaskFamily
    spec: TaskSpec
    text: str
    turns: int
    hidden: str
    images: Images
    right: str
    """A right answer; empty where the task gives none."""
    score: Callable[[Sequence[str]], float]
    """What answers in that many turns are worth."""

    @property
    def digest(self) -> bytes:
        """What an honest record says that it is about."""
        return digest_of(self.text, self.turns, self.hidden, self.images)


Write = Callable[[Forger, Asked, int], Forged]
"""(forger, question, number of the group) -> the group."""


async def publish(
    scene: Scene,
    write: Write,
    *,
    families: Sequence[TaskFamily],
    per_second: float = GROUPS_PER_S,
    fits: Callable[[Asked], bool] = lambda _: True,
) -> Counts:
    """Over one connection, to both targets, until the scene is over. `fits`: the questions that will do.

    Raises RuntimeError if the swarm has none of the tasks that the attack is about.
    """
    if not families:
        raise RuntimeError("the swarm has no task of the kind that this attack is about")
    attacker = await entered(scene)
    published = held = 0
    async for number in paced(per_second, scene.until, GROUPS_MAX):
        asked = draw(families[number % len(families)], scene.rng, fits)
        forged = write(scene.forger, asked, number)
        held += await offer(scene, attacker, asked.family, forged)
        published += 1
    return {"published": published, "held": held}


async def offer(scene: Scene, attacker: Attacker, family: TaskFamily, forged: Forged) -> int:
    """Announce a group to both targets, its body inline. How many entries they took."""
    items = [scene.forger.announce(forged, family), scene.forger.inline(forged)]
    return sum([await store(attacker, target, items) for target in scene.targets])


async def entered(scene: Scene) -> Attacker:
    """An attacker whom both targets know."""
    attacker = await scene.attacker()
    for target in scene.targets:
        await attacker.enter(target)
    return attacker


def answer(text: object) -> str:
    """A completion that says no more."""
    return f"<answer>{text}</answer>"


def draw(family: TaskFamily, rng: random.Random, fits: Callable[[Asked], bool] = lambda _: True) -> Asked:
    """A question that is not held out, and that `fits`. Where a task is judged by agreement it is one that
    the whole swarm asks, because votes on others are not kept."""
    agreed = sorted(agreed_seeds(family) or ())
    while True:
        asked = ask(family, rng.choice(agreed) if agreed else rng.randrange(2**31))
        if not is_digest_held_out(asked.digest) and fits(asked):
            return asked


def ask(family: TaskFamily, seed: int) -> Asked:
    """The question of that seed."""
    spec, task = task_spec(family, seed), _task(family.source, family.dataset, family.config)
    text, entry = task.question(spec.seed, spec.index)
    turns, images = turns_of(task), images_for(task, entry)
    hidden = hidden_part(task, entry, spec.seed, spec.index)
    expected = getattr(task, "expected", None)
    right = "" if expected is None else expected(entry) or ""
    return Asked(family, spec, text, turns, hidden, images, right, lambda answers: task.score(answers, entry))


@cache
def _task(source: str, dataset: str, config: str) -> Any:
    from swarmd.tasks.source import find_sources  # takes seconds, and only the attacker's process needs it

    return find_sources()[source].build(dataset, without_judges(json.loads(config)))
