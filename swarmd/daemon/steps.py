"""The step loop: questions -> completions -> rewards -> publish -> draw external -> update -> checkpoint.

It runs one step at a time, always in this order. The model is touched only in the model thread, so the event
loop stays free for gossip and status while the model generates or trains. A step interrupted before its
update is dropped whole; a step whose update has begun is finished.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from swarmd.daemon.crediting import Begun, Crediting
from swarmd.daemon.entering import Finished, enter_step
from swarmd.daemon.evaluation_schedule import EvaluationSchedule
from swarmd.daemon.lacks import ExternalLack
from swarmd.daemon.machine_use import MachineUse
from swarmd.daemon.mixing import Mixing
from swarmd.daemon.own_groups import OwnGroups
from swarmd.daemon.phase_clock import PhaseClock
from swarmd.daemon.resting import Rest
from swarmd.daemon.saving import SaveSchedule
from swarmd.daemon.self_evaluation import SelfEvaluator, worth_steps
from swarmd.daemon.step_parts import Parts, T
from swarmd.errors import ModelError, StorageError
from swarmd.gossip import Demand
from swarmd.groups import ScoredGroup
from swarmd.learning.study import LESSONS_MIN, TEXT_BYTES_MAX, USES_MAX
from swarmd.observe import Learning
from swarmd.rollout import GenerationStoppedError
from swarmd.step.drawing import ANSWERS_STUDIED, Drawn, SharedOut, draw_external, draw_studied

EXTERNAL_WAIT_S = 2.0  # how often a peer with I = 0 checks its empty pool
OTHER_TOKENIZERS = (
    "external_loss tis compares texts token by token and skips groups of other tokenizers: set "
    "learning.external_loss to topr, imitate or as_own to learn from those too"
)
STUDIES = "this peer studies now: supervised updates on right answers that it saw replace the policy gradient"
NOT_YET = (
    "this peer is to study, but has too few right answers for that, so it takes a policy gradient instead: "
    f"an update needs {ANSWERS_STUDIED}, from task families with at least {LESSONS_MIN} each that were "
    f"studied less than {USES_MAX} times; a question and its answer may have {TEXT_BYTES_MAX:,} bytes, "
    "images included"
)
MEASURING = "measuring what others taught"
RESTING = "resting"
STUDYING = "studying"


class StepLoop:
    """Takes steps until told to stop, or until `config.steps` of them are done."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.progress = parts.learner.progress
        self.phase = "starting"
        self.step_seconds: float | None = None
        self.recorder = parts.recorder
        self._phases = PhaseClock(parts.recorder.phase_ended)
        self.last_done_at = time.monotonic()  # a step, or an evaluation
        self._external_lack = ExternalLack()
        self._mixing = Mixing(parts.config.learning, parts.exchange.verification)
        self._same_tokenizer_only = parts.config.learning.needs_same_tokenizer
        self._tokenizers_told = False
        self._study_told: set[str] = set()
        self._studies = 0
        """Supervised updates of the current step, or of the last one."""
        self._studies_before = 0
        """Those of the step that took `step_seconds`."""
        self._resting = Rest(parts.config.policy.duty)
        self._rest_s = 0.0
        """The rest after the last step, in seconds."""
        self._owed_s = 0.0
        """The same, until it has been taken."""
        self._stop = asyncio.Event()
        self._stop_generating = threading.Event()
        self._own = OwnGroups(parts, self._stop_generating, self._enter, self._in_model_thread)
        self.saves = SaveSchedule(parts.config.storage, bytes_of_last=parts.learner.checkpoint_bytes)
        self._is_whole = True
        """Whether the model is as a step left it, and so worth saving: false during an update and after a
        failed save.
        """
        self._crediting = Crediting(
            parts.manifest,
            parts.learner.policy,
            parts.measuring_tasks,
            parts.database.credits,
            clock=parts.clock,
            duty=parts.config.policy.duty,
        )
        self._evaluator = SelfEvaluator(
            manifest=parts.manifest,
            parts=parts.held_out,
            policy=parts.learner.policy,
            model=parts.learner.plan.model,
            tasks=parts.tasks,
            database=parts.database,
            events=parts.events,
            stop=self._stop_generating,
            schedule=EvaluationSchedule(parts.config.observe.evaluate_every, duty=parts.config.policy.duty),
            clock=parts.clock,
        )

    @property
    def usual_s(self) -> float:
        """How long the current phase usually takes, from the last step, in seconds; 0 before the first."""
        if self.phase == RESTING:
            return self._rest_s
        steps = 1.0
        if self.phase == STUDYING:  # an update of 64 lessons may take as long as a step
            steps = max(1, self._studies) / max(1, self._studies_before)
        if self.phase.startswith("evaluating"):
            steps = worth_steps(self._parts.config.learning)
        return steps * (self.step_seconds or 0.0)

    @property
    def step_every_s(self) -> float | None:
        """Seconds from one step to the next, including rest, from the last one; None before the first."""
        return None if self.step_seconds is None else self.step_seconds + self._rest_s

    @property
    def lacks(self) -> tuple[str, ...]:
        """Why this peer learns nothing or less at present, with remedies; empty if it learns."""
        external = () if self._external_lack.reason is None else (self._external_lack.reason,)
        return external + self._own.lacks

    @property
    def tokens_per_s(self) -> float | None:
        """Tokens per second of the last generation; None before the first."""
        return self._own.tokens_per_s

    @property
    def unscored(self) -> float:
        """Share of the last step's own completions that the scorer failed on."""
        return self._own.unscored

    @property
    def crediting_share(self) -> float:
        """Share of this run's time spent measuring external groups, 0..1."""
        return self._crediting.share

    async def draw_what_is_measured(self) -> None:
        """Draw the questions with which external groups are measured. Runs in parallel with the steps."""
        try:
            await self._crediting.draw()
        finally:
            await self._parts.measuring_tasks.close()

    def use(self) -> MachineUse:
        """Return this peer's use of its machine now."""
        return self._parts.use()

    def learning(self) -> Learning:
        """Return whether this peer learns, over its whole life."""
        return self._evaluator.view.learning(self._evaluator.schedule.share)

    def stop(self) -> None:
        """End after the update in progress. A step that has not reached its update is dropped."""
        self._stop.set()
        self._stop_generating.set()

    async def run(self, first: int | None = None) -> None:
        """Take steps until stopped. The last one is checkpointed regardless of the schedule, even if an error
        ends the loop, provided the weights are whole.

        `first`: the step from which `config.steps` counts, if an earlier process of the same command has done
        some of them.
        """
        wanted = self._parts.config.steps
        last = None if wanted is None else wanted + (self.progress.step if first is None else first)
        try:
            await self._examine_untrained()
            while not self._stop.is_set() and (last is None or self.progress.step < last):
                await self._rest()
                if not self._stop.is_set():
                    await self._take_step()
        except GenerationStoppedError:
            pass  # the current step is dropped
        except BaseException:
            self.stop()  # a generation in progress is not waited for
            if self._is_whole:
                await self._save_at_last()
            raise
        await self._end()

    async def _save_at_last(self) -> None:
        """Save before the loop's error is raised. If the disk fails too, that only adds a warning."""
        try:
            await self._end()
        except StorageError as error:
            self._parts.events.emit("warning", message=str(error))

    async def _end(self) -> None:
        self._enter("stopping")
        if self.progress.step != self.progress.saved_step:
            await self._save()

    async def _take_step(self) -> None:
        parts, progress, began = self._parts, self.progress, time.monotonic()
        self._phases.begin_step()
        self._own.begin_step()
        round_ = parts.manifest.round_at(parts.clock())
        mix = self._mixing.next(progress.experience)
        if change := self._mixing.change(mix):
            parts.events.emit("mix", message=change)
        own = await self._own.sample(round_, mix.local) if mix.local else []
        if self._stop.is_set():
            return
        progress.experience.see_own(own)
        self._mixing.made(len(own), self._phases.seconds())
        trainer = parts.learner.trainer
        studied = self._draw_studied(parts.config.learning.study_updates_at(trainer.steps))
        drawn = self._draw_external(round_, mix.wanted(own), len(own), studies=bool(studied))
        external, lessons = drawn.groups, drawn.lessons
        if not own and not external and not studied:
            await self._wait_for_external()
            return
        measuring = None if studied else await self._begin_measuring([*own, *lessons], external)
        self._enter(STUDYING if studied else "training")
        self._is_whole = False
        success, own_work = progress.experience.success, progress.experience.own_work
        try:
            metrics = await self._in_model_thread(
                lambda: trainer.step(
                    own,
                    external,
                    success,
                    lessons,
                    studied=studied,
                    stopped=self._stop_generating.is_set,
                    own_work=own_work,
                )
            )
        except ModelError:  # memory ran out, perhaps before any weight changed
            self._is_whole = trainer.is_whole
            raise
        progress.see_step(metrics, own, external, studies=parts.config.learning.study > 0)
        self._is_whole = True
        if measuring is not None:
            self._enter(MEASURING)
            trained = [external[n] for n in metrics.external_used]
            await self._crediting.after(measuring, [*own, *lessons], trained, self._in_model_thread)
        done = self.last_done_at = time.monotonic()
        self.step_seconds, self._studies_before = done - began, len(studied)
        enter_step(
            parts.database,
            parts.events,
            parts.recorder,
            Finished(
                step=progress.step,
                round=round_,
                metrics=metrics,
                external=external,
                completions=self._own.written,
                finished=self._own.ended,
                tokens=self._own.tokens,
                tokens_per_s=self._own.tokens_per_s,
                seconds=self.step_seconds,
                phase_seconds=self._phases.seconds(),
                use=parts.use(),
                held_out_success=None if progress.evaluation is None else progress.evaluation.success,
                at=parts.clock(),
            ),
        )
        is_best = self._evaluator.schedule.due(progress.step) and await self._evaluate()
        if is_best or self.saves.due(progress.step, progress.saved_step):
            await self._save()
        self._rest_s = self._owed_s = self._resting.after(self.step_seconds, time.monotonic() - done)

    # External groups ------------------------------------------------------------------------------

    def _draw_external(self, round_: int, wanted: int, own: int, *, studies: bool) -> Drawn:
        """Draw up to J groups from the pool. With fewer, the step continues, and an event says so once."""
        parts = self._parts
        if parts.config.learning.external == 0:
            return Drawn([], other_tokenizer=0, lessons=[])
        shares = parts.exchange.shares
        drawn = draw_external(
            wanted,
            round_=round_,
            manifest=parts.manifest,
            pool=SharedOut(parts.database.pool, shares),
            sampler=parts.sampler,
            exchange=parts.exchange,
            progress=self.progress,
            tokenizer=parts.learner.policy.tokenizer_fingerprint if self._same_tokenizer_only else None,
            bare_only=parts.config.learning.external_tokens == "verified",
            spread_only=not parts.config.learning.takes_all_right,
            rehearse=0 if studies else parts.config.learning.rehearse,
            watch=parts.config.learning.needed_questions > 0,
            shares=shares,
            has_own=own > 0,
        )
        lack = self._external_lack.see(wanted, len(drawn.groups), own or int(studies))
        if lack is not None and not studies:  # a step that studies uses no external groups
            parts.events.emit("external_short", message=lack, wanted=wanted, had=len(drawn.groups))
        if drawn.other_tokenizer and not self._tokenizers_told:
            self._tokenizers_told = True  # only once, not at every step
            parts.events.emit("warning", message=OTHER_TOKENIZERS)
        if self.step_every_s is not None:
            parts.exchange.handle(self._mixing.demand(wanted, self.step_every_s))
        return drawn

    def _draw_studied(self, updates: int) -> list[list[ScoredGroup]]:
        """Draw what this step studies. An event says when a peer first studies, and when it first cannot."""
        parts = self._parts
        studied = draw_studied(
            updates, manifest=parts.manifest, exchange=parts.exchange, progress=self.progress
        )
        message = STUDIES if studied else NOT_YET
        if updates and message not in self._study_told:
            self._study_told.add(message)
            parts.events.emit("study", message=message)
        self._studies = len(studied)
        return studied

    async def _begin_measuring(
        self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]
    ) -> Begun | None:
        """Begin to measure what external groups do for this peer; None if this step is not measured."""
        if not self._crediting.due(external):
            return None
        self._enter(MEASURING)
        return await self._crediting.before(own, external, self._in_model_thread)

    async def _wait_for_external(self) -> None:
        """Wait for external groups. Only a peer with I = 0 does: it has nothing else to train on or study."""
        self._enter("waiting for external groups")
        self._parts.exchange.handle(
            Demand(groups=self._parts.config.learning.external, step_seconds=EXTERNAL_WAIT_S)
        )
        await self._wait(EXTERNAL_WAIT_S)

    async def _rest(self) -> None:
        """Rest for as long as `policy.duty` requires after the last step. The exchange with other peers
        continues.
        """
        seconds, self._owed_s = self._owed_s, 0.0
        if seconds > 0:
            self._enter(RESTING)
            await self._wait(seconds)
            self.last_done_at = time.monotonic()

    async def _wait(self, seconds: float) -> None:
        """Wait until then, or until this loop is told to stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    # Evaluation and saving ------------------------------------------------------------------------

    async def _examine_untrained(self) -> None:
        """Evaluate the model before any training. Only possible while no checkpoint has changed it."""
        if not self._evaluator.schedule.is_on:
            return
        if self._parts.learner.resumed_step is None and self.progress.step == 0:
            self._enter("evaluating the untrained model")
            await self._evaluator.examine_untrained(self._in_model_thread)
        else:
            await self._evaluator.heed_rules()
        self.last_done_at = time.monotonic()

    async def _evaluate(self) -> bool:
        """Return whether the policy is better than ever. A stop drops the evaluation, but not the finished
        step.
        """
        self._enter("evaluating")
        found = await self._evaluator.evaluate(self.progress.step, self._in_model_thread)
        self.last_done_at = time.monotonic()
        return found is not None and self.progress.see_evaluation(found, self._evaluator.view.asked)

    async def _save(self) -> None:
        parts = self._parts
        self._enter("checkpoint")
        began, self._is_whole = time.monotonic(), False
        size = await self._in_model_thread(parts.learner.save)
        self._is_whole = True
        self.saves.saved(size, time.monotonic() - began)
        parts.database.facts.set_saved_step(self.progress.step)
        parts.events.emit("checkpoint", step=self.progress.step)

    def _enter(self, phase: str, done: int = 0, total: int = 0) -> None:
        self.phase = phase
        self._phases.enter(phase)
        self._parts.events.emit("phase", name=phase, done=done, total=total)

    async def _in_model_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._parts.model_thread, call)
