"""From an authentic record to a group worth training on: regenerate the question, score again here.

A signature proves authorship, not truth. Whatever the publisher says of its rewards is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol import Manifest, Reason, RejectedRecord, VerifiedRecord
from protocol.limits import MICRO
from swarmd.learning import ScoredCompletion, ScoredGroup
from swarmd.tasks import Question, Score, TaskFailure, TaskRunner

REASONS = {
    "version": Reason.VERSION,
    "source": Reason.VERSION,
    "timeout": Reason.SCORER,
    "crash": Reason.SCORER,
}
"""What is missing or breaks here is not the publisher's fault; any other failure is the task's."""
HANGING_MAX = 2  # completions of a group; the sandbox gives a group the time of three


class Verification:
    """Turns verified records into scored groups with the swarm's own verifiers."""

    def __init__(self, *, manifest: Manifest, tasks: TaskRunner) -> None:
        self._manifest = manifest
        self._tasks = tasks

    async def check(self, records: Sequence[VerifiedRecord]) -> list[ScoredGroup | RejectedRecord]:
        """One outcome a record, in order. Raises TaskError if the sandbox cannot run at all."""
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

    def _judge(
        self, verified: VerifiedRecord, question: Question, scores: Sequence[Score]
    ) -> ScoredGroup | RejectedRecord:
        hanging = sum(score.failure == "timeout" for score in scores)
        if hanging > HANGING_MAX:
            return RejectedRecord(Reason.SCORER, f"{hanging} of its completions hang the scorer")
        return self._group(verified, question, [score.reward for score in scores])

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

    def _group(self, verified: VerifiedRecord, question: Question, rewards: Sequence[float]) -> ScoredGroup:
        record = verified.record
        family = self._manifest.family(record.task.task_id)
        if family is None:
            raise RuntimeError("verify_record let a task pass that the manifest does not have")
        completions = tuple(
            ScoredCompletion(
                text=completion.text,
                reward=reward,
                finished=completion.finished,
                behaviour_logprob_sum=completion.logprob_sum_micro / MICRO,
                token_count=completion.tokens,
            )
            for completion, reward in zip(record.completions, rewards, strict=True)
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
