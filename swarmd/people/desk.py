"""Serves people at a running peer: asks questions, judges answers, and publishes the group in the peer's
name.

No attempt is kept between two calls: each call from the terminal or the page contains everything written so
far. So both can be open at once, and a restarted peer forgets only which questions it had asked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import Manifest, TaskSpec
from swarmd.errors import ConfigError, TaskError
from swarmd.gossip import GroupOffer, NotPublished, Unpublished
from swarmd.groups import ScoredGroup
from swarmd.observe.credit import Credit
from swarmd.observe.person_name import read_name
from swarmd.observe.play import (
    ANSWERS_MAX,
    AnswersView,
    AnswerView,
    QuestionView,
    SentView,
    TriesView,
    VerdictView,
)
from swarmd.people.attempts import BLANK, group_of, is_right, read_attempt, read_attempts
from swarmd.people.failures import Asked, Failures, Tally
from swarmd.step.offering import to_offer
from swarmd.storage.answers import Answer, Answers
from swarmd.tasks import Item, Question, Score, TaskFailure, Written

OFFERED_MAX = 64
"""Questions that may be open at once, the newest: enough for several pages and terminals."""

WAITING_MAX = 16
"""Groups that wait for room in a round: minutes of a person's work."""

OFFER_EVERY_S = 1.0
"""Interval of checking whether a new round has begun, because there is room at the beginning of a round."""

GIST_CHARS = 60
"""Characters of a question's last line, stored with its answer: one terminal line. The first lines of a
task's questions are usually the same."""

PERSON_TEMPERATURE = 1.0
"""Recorded in place of a policy's sampling temperature."""


WILL_PASS = (Unpublished.ROUND_BUDGET, Unpublished.BEFORE_GENESIS)
"""Reasons for which an answer waits for a later round."""

WHY_NOT = {
    Unpublished.UNINFORMATIVE: "its attempts are worth the same, so no peer would learn from it",
    Unpublished.BEFORE_GENESIS: "the swarm has not begun",
    Unpublished.ROUND_BUDGET: "this peer has used up its limit for this round",
    Unpublished.INVALID: "other peers would refuse it",
}


class Tasks(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...
    async def score(self, items: Sequence[Item]) -> list[list[Score]]: ...
    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> Sequence[str | TaskFailure | None]: ...


class Judges(Protocol):
    """The part of `swarmd.judges.Panel` needed here."""

    def judges(self, task_id: bytes) -> bool: ...
    async def measure(
        self, question: Question, texts: Sequence[Written], row: Sequence[Score]
    ) -> list[Score]: ...


class Publishing(Protocol):
    """The part of the peer's exchange needed here."""

    @property
    def peer_id(self) -> str: ...
    def publish(self, group: GroupOffer, *, round_: int) -> bytes | NotPublished:
        """The record's digest, or why there is none."""
        ...


@dataclass(frozen=True)
class _Waiting:
    group: ScoredGroup
    question: Question


class Desk:
    """One per daemon, used on the event loop. Implements `swarmd.observe.play.Play` for a training peer."""

    def __init__(
        self,
        *,
        manifest: Manifest,
        attempts_max: int,
        failures: Failures,
        draw: Callable[[], TaskSpec],
        tasks: Tasks,
        publishing: Publishing,
        answers: Answers,
        step: Callable[[], int],
        clock: Callable[[], float],
        credit: Callable[[], Credit] = Credit,
        judges: Judges | None = None,
    ) -> None:
        """`draw` returns a training question, for use while no question has been failed yet. `attempts_max`:
        G, as for the peer's own groups. `credit`: who taught whom. `judges`: the judges of tasks that name
        judges."""
        self._manifest = manifest
        self._attempts_max = attempts_max
        self._failures = failures
        self._draw = draw
        self._tasks = tasks
        self._publishing = publishing
        self._answers = answers
        self._step = step
        self._clock = clock
        self._credit = credit
        self._judges = judges
        self._offered: OrderedDict[bytes, Question] = OrderedDict()
        self._waiting: dict[bytes, _Waiting] = {}
        self._tried_in = -1
        answers.give_up_waiting()

    # What a person does ---------------------------------------------------------------------------

    async def ask(self, without: Sequence[str]) -> QuestionView:
        """See `Play`."""
        self._require_room()  # before the person writes anything
        unwanted = _Unwanted({_digest(each) for each in without}, self._answers)
        while (asked := self._failures.most_failed(unwanted)) is not None:
            if (question := await self._made(asked.spec)) is not None:
                return self._offer(question, asked)
            unwanted.add(asked.digest)
        for _ in range(OFFERED_MAX):
            question = await self._made(self._draw())
            if question is not None and question.digest not in unwanted:
                return self._offer(question, None)
        raise ConfigError(
            "no question is left: all that could be drawn were already answered here or are about pictures, "
            "which cannot be shown here"
        )

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        """See `Play`."""
        asked = self._find(question)
        attempt = read_attempt(asked, turns)
        if len(attempt) < asked.turns and attempt[-1] != BLANK:
            [said] = await self._tasks.replies([(asked.spec, attempt)])
            if isinstance(said, str):
                return VerdictView(said=said)
        [score] = await self._scored(asked, [_written(asked, attempt)])
        if not score.confidence:
            return VerdictView(plain=score.bare)
        return VerdictView(reward=score.reward, right=is_right(score), plain=score.bare)

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        """See `Play`."""
        asked, named = self._find(question), read_name(name)
        read = read_attempts(asked, attempts, self._attempts_max)
        blank = (BLANK,)
        scores = await self._scored(asked, [_written(asked, each) for each in (*read, blank)])
        if self._answers.knows(asked.digest):  # last, because page and terminal may send at the same time
            raise ConfigError("this question was already answered here, and each counts only once")
        right = sum(map(is_right, scores[: len(read)]))
        if len({score.reward for score in scores[: len(read)]}) > 1:
            scores = scores[: len(read)]
        else:
            read.append(blank)
        group = group_of(
            asked,
            read,
            scores,
            manifest=self._manifest,
            publisher=self._publishing.peer_id,
            name=named,
            round_=self._manifest.round_at(self._clock()),
            step=self._step(),
        )
        judged = any(score.confidence for score in scores)
        return self._send(group, asked, attempts=len(attempts), right=right, judged=judged)

    async def _scored(self, asked: Question, written: Sequence[Written]) -> list[Score]:
        """The scores of the attempts. For a task with judges, these are the judges' scores, not the
        verifier's."""
        [scores] = await self._tasks.score([(asked.spec, written)])
        _require_scored(scores)
        if self._judges is None or not self._judges.judges(asked.spec.task_id):
            return scores
        return await self._judges.measure(asked, written, scores)

    def answers(self) -> AnswersView:
        """See `Play`."""
        credit = self._credit()
        return AnswersView(
            answers=tuple(map(_view, self._answers.newest(ANSWERS_MAX))),
            taught_claimed=credit.people_taught_claimed,
            claimed=tuple(peer for peer in credit.claimed if peer.people),
        )

    # Sending --------------------------------------------------------------------------------------

    async def keep_sending(self) -> None:
        """Offer waiting groups at the beginning of each round, until cancelled."""
        while True:
            await asyncio.sleep(OFFER_EVERY_S)
            self.send_waiting()

    def send_waiting(self) -> None:
        """Offer waiting groups, once per round."""
        round_ = self._manifest.round_at(self._clock())
        if round_ == self._tried_in:
            return
        for digest, waiting in list(self._waiting.items()):
            found = self._publish(waiting.group, waiting.question)
            if isinstance(found, NotPublished) and found.reason in WILL_PASS:
                self._tried_in = round_
                return
            del self._waiting[digest]

    def _send(
        self, group: ScoredGroup, question: Question, *, attempts: int, right: int, judged: bool
    ) -> SentView:
        """Store the answer, and publish its group if it can teach."""
        answer = Answer(
            question=question.digest,
            at=self._clock(),
            task=group.task_name,
            gist=question.text.rstrip().split("\n")[-1].strip()[:GIST_CHARS],
            attempts=attempts,
            right=right,
            state="waiting" if group.is_informative else "kept",
        )
        if not group.is_informative:
            self._answers.add(answer)
            why = "no attempt is right" if judged else "no judge has judged it yet"
            return SentView(state="kept", message=f"not published: {why}, so no peer would learn from it")
        self._require_room()
        self._answers.add(answer)
        found = self._publish(group, question)
        if not isinstance(found, NotPublished):
            return SentView(state="published", message="published", digest=found.hex())
        if found.reason not in WILL_PASS:
            why = ": ".join(filter(None, (WHY_NOT[found.reason], found.detail)))
            return SentView(state="kept", message=f"not published: {why}")
        self._tried_in = max(-1, self._manifest.round_at(self._clock()))
        self._waiting[question.digest] = _Waiting(group, question)
        seconds = self._manifest.round_start(self._tried_in + 1) - self._clock()
        return SentView(
            state="waiting",
            message=f"not published yet: {WHY_NOT[found.reason]}, and the next round begins in "
            f"{seconds:.0f} s",
        )

    def _require_room(self) -> None:
        """Raise ConfigError if no further answer may wait."""
        if len(self._waiting) >= WAITING_MAX:
            raise ConfigError(
                f"{WAITING_MAX} answers are already waiting to be published: try again in the next round"
            )

    def _publish(self, group: ScoredGroup, question: Question) -> bytes | NotPublished:
        """The digest of the group's record, or why there is none. Stores what became of the answer."""
        offer = to_offer(group, question, PERSON_TEMPERATURE)
        found = self._publishing.publish(offer, round_=self._manifest.round_at(self._clock()))
        if not isinstance(found, NotPublished):
            self._answers.published(question.digest, found)
        elif found.reason not in WILL_PASS:
            self._answers.kept(question.digest)
        return found

    # Questions ------------------------------------------------------------------------------------

    async def _made(self, spec: TaskSpec) -> Question | None:
        """The question of `spec`; None if it cannot be generated, is held out, or has images, which cannot be
        shown here."""
        [found] = await self._tasks.questions([spec])
        return None if isinstance(found, TaskFailure) or found.held_out or found.images else found

    def _offer(self, question: Question, asked: Asked | None) -> QuestionView:
        self._offered[question.digest] = question
        self._offered.move_to_end(question.digest)
        if len(self._offered) > OFFERED_MAX:
            self._offered.popitem(last=False)
        family = self._manifest.family(question.spec.task_id)
        return QuestionView(
            question=question.digest.hex(),
            task="" if family is None else family.name,
            text=question.text,
            turns=question.turns,
            attempts_max=self._attempts_max,
            own=_tries(asked.own if asked else Tally()),
            others=_tries(asked.others if asked else Tally()),
        )

    def _find(self, question: str) -> Question:
        found = self._offered.get(_digest(question))
        if found is None:
            raise ConfigError(
                "this question is no longer open, because the peer has restarted or has asked "
                f"{OFFERED_MAX} others since: ask for another"
            )
        return found


class _Unwanted:
    """Questions that the person skipped, or that were already answered here."""

    def __init__(self, skipped: set[bytes], answers: Answers) -> None:
        self._skipped = skipped
        self._answers = answers

    def add(self, digest: bytes) -> None:
        self._skipped.add(digest)

    def __contains__(self, digest: object) -> bool:
        return digest in self._skipped or (isinstance(digest, bytes) and self._answers.knows(digest))


def _require_scored(scores: Sequence[Score]) -> None:
    """Raise ConfigError for text on which other peers' scorers would fail too, TaskError for a busy
    machine."""
    failed = next((score.failure for score in scores if score.is_lost), None)
    if failed in ("hang", "crash"):
        raise ConfigError("this answer breaks the task's scorer, so no peer would accept it: write another")
    if failed == "turns":
        raise ConfigError("an attempt goes on after its task had ended: leave out the turns after that")
    if failed is not None:
        raise TaskError("scoring the answer timed out because this machine is busy: try again")


def _written(question: Question, attempt: Sequence[str]) -> str | tuple[str, ...]:
    return tuple(attempt) if question.turns > 1 else attempt[0]


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ConfigError("a question is identified by the hexadecimal digest that came with it") from error


def _tries(tally: Tally) -> TriesView:
    return TriesView(right=tally.right, tries=tally.tries)


def _view(answer: Answer) -> AnswerView:
    return AnswerView(
        question=answer.question.hex(),
        at=answer.at,
        task=answer.task,
        gist=answer.gist,
        attempts=answer.attempts,
        right=answer.right,
        state=answer.state,
        digest=None if answer.digest is None else answer.digest.hex(),
        pulled_by=answer.pulled_by,
    )
