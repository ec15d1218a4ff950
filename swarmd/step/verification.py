"""From an authentic record to a group worth training on: regenerate the question, score again here.

A signature proves authorship, not truth. The publisher's own rewards are ignored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from protocol import Manifest, Reason, RejectedRecord, VerifiedRecord
from protocol.limits import MICRO
from swarmd.gossip.reputation import OVERDRAWN
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.step.accounts import Accounts
from swarmd.tasks import Question, Score, TaskFailure, TaskRunner

REASONS = {
    "version": Reason.VERSION,
    "source": Reason.VERSION,
    "timeout": Reason.SCORER,
    "crash": Reason.SCORER,
}
"""What is missing or breaks here is not the publisher's fault. Any other failure is the task's."""

HARMFUL = ("hang", "crash")
"""Failures that a completion itself causes; its publisher met them when it scored the completion. A
completion that only ran out of clock time may have met a busy machine."""

PATIENCE_S = 3.0  # per request while others wait: a hundred times what good groups take on a quiet machine
PATIENCE_TIMES = 5.0  # on a busy machine: so many times what recent requests took
USUAL_WEIGHT = 0.2  # of the latest request in the running mean, which is then over about five


@dataclass(frozen=True)
class Overdrawn:
    """Not checked, because its publisher has used up its share of this peer's time. The group may be good."""

    reason = OVERDRAWN


Outcome = ScoredGroup | RejectedRecord | Overdrawn


class Verification:
    """Turns verified records into scored groups with the swarm's own verifiers.

    `tasks` is a separate worker, so that a peer's own questions and scores never wait for others' groups. Its
    time is charged to the publishers in `accounts`. A publisher that has used up its share is not checked.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        tasks: TaskRunner,
        accounts: Accounts | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._tasks = tasks
        self._monotonic = monotonic
        self._usual_s = 0.0
        self.accounts = accounts or Accounts()

    async def check(self, records: Sequence[VerifiedRecord]) -> list[Outcome]:
        """One outcome per record, in order. Raises TaskError if the sandbox cannot run at all."""
        now = self._monotonic()
        open_ = [verified for verified in records if not self.accounts.is_overdrawn(verified.publisher, now)]
        cpu_s, clock_s = self._tasks.cpu_s, self._tasks.clock_s
        checked = await self._check(open_)
        cpu_s, clock_s = self._tasks.cpu_s - cpu_s, self._tasks.clock_s - clock_s
        if checked and all(isinstance(outcome, ScoredGroup) for outcome in checked):
            self._usual_s += (clock_s - self._usual_s) * USUAL_WEIGHT
        for verified, outcome in zip(open_, checked, strict=True):
            if isinstance(outcome, ScoredGroup):
                self.accounts.charge_good(verified.publisher, cpu_s / len(open_), self._monotonic())
            else:
                self.accounts.charge_bad(verified.publisher, clock_s / len(open_), self._monotonic())
        found = dict(zip((verified.digest for verified in open_), checked, strict=True))
        return [found.get(verified.digest, Overdrawn()) for verified in records]

    def hurry(self) -> None:
        """Others wait: give up a request that takes much longer than usual on this machine now."""
        if self._tasks.waiting_s > max(PATIENCE_S, PATIENCE_TIMES * self._usual_s):
            self._tasks.give_up()

    async def _check(self, records: Sequence[VerifiedRecord]) -> list[Outcome]:
        questions = await self._tasks.questions([verified.record.task for verified in records])
        outcomes = [self._compare(verified, q) for verified, q in zip(records, questions, strict=True)]
        accepted = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, Question)]
        scores = await self._tasks.score(
            [(records[i].record.task, [c.text for c in records[i].record.completions]) for i in accepted]
        )
        scored = dict(zip(accepted, scores, strict=True))
        return [
            outcome if isinstance(outcome, RejectedRecord) else self._judge(records[i], outcome, scored[i])
            for i, outcome in enumerate(outcomes)
        ]

    def _judge(self, verified: VerifiedRecord, question: Question, scores: Sequence[Score]) -> Outcome:
        """A completion that brings the scorer down makes its whole group worthless."""
        if any(score.failure in HARMFUL for score in scores):
            return RejectedRecord(Reason.COMPLETION, "a completion hangs the scorer, or ends it")
        if any(score.is_lost for score in scores):
            return RejectedRecord(Reason.SCORER, "there was no time to score its completions")
        return self._group(verified, question, scores)

    def _compare(
        self, verified: VerifiedRecord, question: Question | TaskFailure
    ) -> Question | RejectedRecord:
        if isinstance(question, TaskFailure):
            return RejectedRecord(
                REASONS.get(question.reason, Reason.TASK),
                f"its question cannot be regenerated ({question.reason}): {question.detail}",
            )
        if question.digest != verified.record.question_digest:
            return RejectedRecord(Reason.QUESTION, "the question regenerated here is another one")
        if question.held_out:
            return RejectedRecord(Reason.HELD_OUT, "nobody trains on this question")
        return question

    def _group(self, verified: VerifiedRecord, question: Question, scores: Sequence[Score]) -> ScoredGroup:
        record = verified.record
        family = self._manifest.family(record.task.task_id)
        if family is None:
            raise RuntimeError("verify_record let a task pass that the manifest does not have")
        completions = tuple(
            ScoredCompletion(
                text=completion.text,
                reward=score.reward,
                finished=completion.finished,
                bare=score.bare,
                behaviour_logprob_sum=completion.logprob_sum_micro / MICRO,
                token_count=completion.tokens,
            )
            for completion, score in zip(record.completions, scores, strict=True)
        )
        return ScoredGroup(
            publisher=verified.publisher,
            task_id=record.task.task_id,
            task_name=family.name,
            question=question.text,
            completions=completions,
            round=record.round,
            step=record.step,
            model=record.model,
            tokenizer=record.tokenizer,
            digest=verified.digest,
            external=True,
        )
