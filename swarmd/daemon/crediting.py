"""Decide when this peer measures what external groups do for it, and write down the result.

Measuring takes at most `TIME_SHARE` of the time. Steps that train on a person's answer may spend everything
saved so far; other steps leave enough for one measurement, because people answer rarely. The questions are
drawn in parallel with the steps, because some tasks need a minute for it.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from protocol import Manifest, is_person
from swarmd.daemon.time_budget import TimeBudget
from swarmd.errors import TaskError
from swarmd.groups import ScoredGroup
from swarmd.hardware.shortage import Shortage, attempt
from swarmd.policy import Policy
from swarmd.step.credit import Likelihood, gains, taught
from swarmd.step.gold import GoldByTask, GoldSource, draw_gold, likelihood
from swarmd.step.playing import InModelThread
from swarmd.storage.credits import Credits

log = structlog.get_logger()

TIME_SHARE = 0.02
"""Largest share of the time worked that measuring takes. Drawing the questions, once, is not counted."""

FIRST_S = 20.0
"""Assumed cost before the first measurement, in seconds."""

FAMILIES_MAX = 4
"""Most task families measured per step, besides the control family. A step rarely has more."""

SEED_BITS = 31


@dataclass(frozen=True)
class Begun:
    """A measurement whose step has not been taken yet."""

    tasks: Sequence[bytes]
    before: Likelihood


class Crediting:
    """One per run. Call `before` and `after` around a step; neither counts towards the step's time."""

    def __init__(
        self,
        manifest: Manifest,
        policy: Policy,
        tasks: GoldSource,
        book: Credits,
        *,
        clock: Callable[[], float],
        duty: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`duty`: the share of the time that this peer works."""
        self._budget = TimeBudget(TIME_SHARE, duty=duty, monotonic=monotonic)
        self._manifest = manifest
        self._policy = policy
        self._tasks = tasks
        self._book = book
        self._clock = clock
        self._rng = random.SystemRandom()  # no peer should be able to predict what is measured
        self._gold: GoldByTask | None = None
        self._wanted = asyncio.Event()
        """Whether there is something to measure."""
        self._last_s: float | None = None

    def due(self, external: Sequence[ScoredGroup]) -> bool:
        """Whether to measure a step that trains on these external groups."""
        if not external or self._budget.elapsed_s < FIRST_S:
            return False
        self._wanted.set()
        if not self._gold:  # not drawn yet, or the swarm's tasks give no right answers
            return False
        if self._last_s is None:
            return True
        by_person = any(is_person(group.model) for group in external)
        wanted = self._last_s if by_person else 2.0 * self._last_s
        return self._budget.affords(wanted)

    async def draw(self) -> None:
        """Draw the questions, once a step is due to be measured. If they cannot be drawn, nothing is
        measured.
        """
        await self._wanted.wait()
        try:
            self._gold = await draw_gold(self._tasks, self._manifest, secrets.randbits(SEED_BITS))
        except TaskError:  # none are held out, or the worker is gone, which verification will report
            self._gold = {}

    async def before(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        in_model_thread: InModelThread,
    ) -> Begun | None:
        """Measure before a step that is `due`. Returns None if none of its families can be measured. `own`:
        own groups and lessons, as for `credit.taught`.

        Raises ModelError.
        """
        began = self._budget.monotonic()
        tasks = self._chosen(own, external, self._gold or {})
        found = await self._likelihood(tasks, in_model_thread) if tasks else None
        self._budget.spent_s += self._budget.monotonic() - began
        if not found:
            self._last_s = self._last_s or 0.0  # the questions are known, and none fits these groups
        return Begun(tasks, found) if found else None

    async def after(
        self,
        begun: Begun,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        in_model_thread: InModelThread,
    ) -> None:
        """Measure after the step, and record what each group did. Raises ModelError, StorageError."""
        began = self._budget.monotonic()
        after = await self._likelihood(begun.tasks, in_model_thread)
        found = [] if after is None else gains(begun.before, after, own, external)
        self._book.measured([(gain.publisher, gain.people, gain.nats) for gain in found], now=self._clock())
        took = self._budget.monotonic() - began
        self._budget.spent_s += took
        self._last_s = 2.0 * took  # before and after take equally long

    async def _likelihood(self, tasks: Sequence[bytes], in_model_thread: InModelThread) -> Likelihood | None:
        """None if memory runs out: the step was not short of it, and nothing depends on a measurement."""
        gold = self._gold or {}
        found = await in_model_thread(lambda: attempt(lambda: likelihood(self._policy, gold, tasks)))
        if isinstance(found, Shortage):
            log.warning(f"what other peers' groups do was not measured: memory ran out ({found.why})")
            return None
        return found

    @property
    def share(self) -> float:
        """Share of the time so far spent on measuring, 0..1."""
        return self._budget.share_spent

    def _chosen(
        self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup], gold: GoldByTask
    ) -> list[bytes]:
        """Return the families to measure: first those of a person's answers, then others in random order,
        then one that no group of the step trains, as a control.

        Empty if no right answers are known for the families of these groups.
        """
        people = [group.task_id for group in external if is_person(group.model)]
        others = [group.task_id for group in external]
        self._rng.shuffle(others)
        wanted = [task for task in dict.fromkeys((*people, *others)) if gold.get(task)][:FAMILIES_MAX]
        if not wanted:
            return []
        trained = taught(own, external)
        untouched = [task for task in gold if task not in trained and gold[task]]
        return [*wanted, *([self._rng.choice(untouched)] if untouched else [])]
