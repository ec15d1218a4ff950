"""From an authentic record to a group worth training on: regenerates the question and scores it again here.

A signature proves authorship, not truth. The publisher's own rewards are ignored.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from protocol import AnyCompletion, Manifest, PeerId, Reason, RejectedRecord, TurnsRecord, VerifiedRecord
from protocol.limits import MICRO
from swarmd.errors import ModelError
from swarmd.gossip.reputation import OVERDRAWN, UNJUDGED
from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.judges import Panel
from swarmd.step.accounts import FREE_S, Accounts
from swarmd.step.earning import Unended, earned
from swarmd.tasks import Item, Question, Score, TaskFailure, TaskRunner, written

REASONS = {
    "version": Reason.VERSION,
    "source": Reason.VERSION,
    "timeout": Reason.SCORER,
    "crash": Reason.SCORER,
}
"""Failures caused by something missing or broken here rather than by the publisher. All others are the
task's."""

HARMFUL = ("hang", "crash")
"""Failures that the completion itself causes, so its publisher saw them too. A completion that only ran out
of wall-clock time may have met a busy machine."""

PATIENCE_S = 3.0  # per request while others wait: a hundred times what good groups take on an idle machine
PATIENCE_TIMES = 5.0  # on a busy machine: multiple of what recent requests took
SURGE = 2.0  # times the running mean: what one record counts as at most, beyond `FREE_S`
USUAL_WEIGHT = 0.2  # of the latest request in the running mean, which then covers about five


@dataclass(frozen=True)
class Overdrawn:
    """Not checked, because its publisher has used up its share of this peer's time. The group may be good."""

    reason = OVERDRAWN


@dataclass(frozen=True)
class Unjudged:
    """This peer's judges cannot judge it. That is not the publisher's fault, because judges differ."""

    why: str
    reason = UNJUDGED


Outcome = ScoredGroup | RejectedRecord | Overdrawn | Unjudged


@dataclass(frozen=True)
class _Cost:
    """Seconds used by the sandboxed worker and by judges."""

    cpu_s: float
    clock_s: float

    @classmethod
    def so_far(cls, tasks: TaskRunner, panel: Panel) -> _Cost:
        return cls(tasks.cpu_s + panel.cpu_s, tasks.clock_s + panel.cpu_s)

    def since(self, before: _Cost, shared_by: int = 1) -> _Cost:
        return _Cost((self.cpu_s - before.cpu_s) / shared_by, (self.clock_s - before.clock_s) / shared_by)

    def plus(self, other: _Cost) -> _Cost:
        return _Cost(self.cpu_s + other.cpu_s, self.clock_s + other.clock_s)


class Verification:
    """Turns verified records into scored groups with the swarm's own verifiers.

    `tasks` is a separate worker, so this peer's own questions and scores never wait for external groups. Its
    time is charged to the publishers in `accounts`. The groups of a publisher that has used up its share are
    not checked. `unended`: what a completion earns if it was cut off after its answer. `panel` judges tasks
    for which the manifest names judges. Judges differ from peer to peer, so their rewards are not compared
    with a publisher's claim, and no group is refused because of them.
    """

    def __init__(
        self,
        *,
        manifest: Manifest,
        tasks: TaskRunner,
        accounts: Accounts | None = None,
        unended: Unended = "wrong",
        panel: Panel | None = None,
        party: Callable[[PeerId], Hashable] = lambda publisher: publisher,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._tasks = tasks
        self._unended = unended
        self.panel = panel or Panel(manifest)
        self.party = party
        """Maps a peer to the party it votes with, for answers judged by agreement."""
        self._monotonic = monotonic
        self._usual_s = 0.0
        self.record_s: float | None = None
        """Recent CPU seconds per verified group, with a bound on each; None before the first."""
        self.accounts = accounts or Accounts()

    async def check(self, records: Sequence[VerifiedRecord]) -> list[Outcome]:
        """Return one outcome per record, in order. Raises TaskError if the sandbox cannot run at all.

        Groups that are quick to score are scored first, all together. Each remaining group is then scored
        alone. As soon as one of them is refused, the remaining groups of its publisher are left for later.
        """
        outcomes: dict[int, Outcome] = {}
        open_: dict[int, Question] = {}
        allowed = {i: each for i, each in enumerate(records) if not self._is_overdrawn(each.publisher)}
        shared = await self._check_together(allowed, outcomes, open_)
        refused: set[PeerId] = set()
        for i, question in open_.items():
            verified = records[i]
            if verified.publisher in refused or self._is_overdrawn(verified.publisher):
                continue
            outcomes[i] = await self._check_alone(verified, question, shared)
            if isinstance(outcomes[i], RejectedRecord):
                refused.add(verified.publisher)
        return [outcomes.get(i, Overdrawn()) for i in range(len(records))]

    def hurry(self) -> None:
        """Call when other groups wait: abandons a request that takes much longer than is now usual here."""
        if self._tasks.waiting_s > max(PATIENCE_S, PATIENCE_TIMES * self._usual_s):
            self._tasks.give_up()

    async def _check_together(
        self, records: Mapping[int, VerifiedRecord], outcomes: dict[int, Outcome], open_: dict[int, Question]
    ) -> _Cost:
        """Fill `outcomes` with everything that can be decided quickly, and `open_` with the remaining
        questions. Returns the cost per record."""
        before = _Cost.so_far(self._tasks, self.panel)
        questions = await self._tasks.questions([verified.record.task for verified in records.values()])
        for (i, verified), found in zip(records.items(), questions, strict=True):
            compared = self._compare(verified, found)
            if isinstance(compared, Question):
                open_[i] = compared
            else:
                outcomes[i] = compared
        for i in [i for i, question in open_.items() if not self.panel.needs_scores(question)]:
            outcomes[i] = await self._group(records[i], open_.pop(i), None)
        rows = await self._tasks.score_shared([_item(records[i]) for i in open_])
        for i, row in zip(list(open_), rows, strict=True):
            if row is not None:
                outcomes[i] = await self._judge(records[i], open_.pop(i), row)
        cost = _Cost.so_far(self._tasks, self.panel).since(before, shared_by=max(1, len(records)))
        if outcomes and not open_ and all(isinstance(each, ScoredGroup) for each in outcomes.values()):
            self._usual_s += (cost.clock_s * len(records) - self._usual_s) * USUAL_WEIGHT
        for i, outcome in outcomes.items():
            self._charge(records[i].publisher, outcome, cost)
        return cost

    async def _check_alone(self, verified: VerifiedRecord, question: Question, shared: _Cost) -> Outcome:
        before = _Cost.so_far(self._tasks, self.panel)
        outcome = await self._judge(verified, question, await self._tasks.score_alone(*_item(verified)))
        cost = _Cost.so_far(self._tasks, self.panel).since(before)
        self._charge(verified.publisher, outcome, cost.plus(shared))
        return outcome

    def _is_overdrawn(self, publisher: PeerId) -> bool:
        return self.accounts.is_overdrawn(publisher, self._monotonic())

    def _charge(self, publisher: PeerId, outcome: Outcome, cost: _Cost) -> None:
        if isinstance(outcome, ScoredGroup):
            # One costly record says little about the others. If all are costly, the mean follows.
            cpu_s = min(cost.cpu_s, max(FREE_S, SURGE * (self.record_s or 0.0)))
            usual = cpu_s if self.record_s is None else self.record_s
            self.record_s = usual + (cpu_s - usual) * USUAL_WEIGHT
            self.accounts.charge_good(publisher, cost.cpu_s, self._monotonic())
        else:
            self.accounts.charge_bad(publisher, cost.clock_s, self._monotonic())

    async def _judge(self, verified: VerifiedRecord, question: Question, scores: Sequence[Score]) -> Outcome:
        """The outcome for scored completions. One that brings the scorer down makes the whole group
        worthless."""
        if any(score.failure in HARMFUL for score in scores):
            return RejectedRecord(Reason.COMPLETION, "a completion hangs or crashes the scorer")
        if any(score.failure == "turns" for score in scores):
            return RejectedRecord(Reason.COMPLETION, "a completion has more turns than its task")
        if question.turns > 1 and any(score.failure == "error" for score in scores):
            return RejectedRecord(Reason.SCORER, "its turns cannot be replayed here")
        if any(score.is_lost for score in scores):
            return RejectedRecord(Reason.SCORER, "there was no time to score its completions")
        return await self._group(verified, question, scores)

    def _compare(
        self, verified: VerifiedRecord, question: Question | TaskFailure
    ) -> Question | RejectedRecord:
        if isinstance(question, TaskFailure):
            return RejectedRecord(
                REASONS.get(question.reason, Reason.TASK),
                f"its question cannot be regenerated ({question.reason}): {question.detail}",
            )
        if question.digest != verified.record.question_digest:
            return RejectedRecord(Reason.QUESTION, "the question regenerated here is different")
        if isinstance(verified.record, TurnsRecord) == question.is_plain:
            return RejectedRecord(Reason.QUESTION, "the record's version does not fit its task")
        if question.held_out:
            return RejectedRecord(Reason.HELD_OUT, "the question is held out: no peer trains on it")
        return question

    async def _group(
        self, verified: VerifiedRecord, question: Question, scores: Sequence[Score] | None
    ) -> Outcome:
        """`scores` are the verifier's; None if only judges decide."""
        record = verified.record
        if self.panel.judges(record.task.task_id):
            texts = _item(verified)[1]
            if scores is None and any(len(each.turns) > 1 for each in record.completions):
                return RejectedRecord(Reason.COMPLETION, "a completion has more turns than its task")
            try:
                scores = await self.panel.judge_external(
                    question, self.party(verified.publisher), texts, scores
                )
            except ModelError as error:  # a text may overflow a judge, but must not end this peer
                return Unjudged(str(error))
        assert scores is not None  # noqa: S101  only judged tasks can lack a verifier
        family = self._manifest.family(record.task.task_id)
        if family is None:
            raise RuntimeError("verify_record accepted a task that the manifest does not have")
        published: Sequence[AnyCompletion] = record.completions
        completions = tuple(
            ScoredCompletion.from_turns(
                _turns(completion, score),
                earned(
                    score.reward,
                    [(turn.text, turn.finished) for turn in completion.turns],
                    unended=self._unended,
                ),
                bare=score.bare,
            )
            for completion, score in zip(published, scores, strict=True)
        )
        return ScoredGroup(
            publisher=verified.publisher,
            task_id=record.task.task_id,
            task_name=family.name,
            question=question.text,
            images=question.images,
            completions=completions,
            round=record.round,
            step=record.step,
            model=record.model,
            tokenizer=record.tokenizer,
            digest=verified.digest,
            external=True,
            confidence=min(score.confidence for score in scores),
        )


def _item(verified: VerifiedRecord) -> Item:
    return verified.record.task, [written(completion) for completion in verified.record.completions]


def _turns(completion: AnyCompletion, score: Score) -> tuple[Turn, ...]:
    """The turns as written, with the observations computed here."""
    observations = (*score.observations, "")
    return tuple(
        Turn(
            text=turn.text,
            finished=turn.finished,
            observation=observation,
            behaviour_logprob_sum=turn.logprob_sum_micro / MICRO,
            token_count=turn.tokens,
        )
        for turn, observation in zip(completion.turns, observations, strict=True)
    )
