"""What a person who plays sees: questions, verdicts, and what became of the answers. And the interface behind
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel

from swarmd.observe.credit import CreditedPeer
from swarmd.observe.learning import AS_READ


class _View(BaseModel):
    model_config = AS_READ


class TriesView(_View):
    """How often an answer was right."""

    right: int
    tries: int


class QuestionView(_View):
    """A question for a person. Its text may come from any task source."""

    question: str
    """Hex of its digest, by which later requests name it."""
    task: str
    text: str
    turns: int
    """How many turns an attempt can have."""
    attempts_max: int
    own: TriesView
    """Of this peer's own policy."""
    others: TriesView
    """Of other peers' policies, as scored here."""


class VerdictView(_View):
    """What one attempt was worth."""

    said: str | None = None
    """The task's observation after the turn. The attempt then continues, and all other fields are null."""
    reward: float | None = None
    """0..1. Null with `plain` set: the judges of this task have no opinion yet."""
    right: bool | None = None
    plain: bool | None = None
    """Whether it contains only the answer as the task writes it: other peers train on no other kind."""


class SentView(_View):
    """What becomes of the attempts at one question."""

    state: str
    """published, waiting (for the next round) or kept (not published)."""
    message: str
    """The same in a sentence."""
    digest: str | None = None
    """Digest of the record in hex, once it is published."""


class AnswerView(_View):
    """An earlier answer, and what became of it."""

    question: str
    at: float
    """Unix time in seconds."""
    task: str
    gist: str
    """The end of the question: questions of one task begin alike."""
    attempts: int
    right: int
    """How many of the attempts are right."""
    state: str
    """waiting, published, kept or lost."""
    digest: str | None
    pulled_by: int
    """Peers that pulled it from here. Known: the connection proves who pulled."""


ANSWERS_MAX = 100
"""Answers in one list, the newest: several screens."""


class AnswersView(_View):
    """The answers that people gave at this home."""

    answers: tuple[AnswerView, ...]
    """Newest first, at most ANSWERS_MAX."""
    taught_claimed: int = 0
    """Parties that say that these answers taught them."""
    claimed: tuple[CreditedPeer, ...] = ()
    """What each peer says that the answers did for it."""


class Play(Protocol):
    """A daemon's side of `swarmd play`. Invalid requests raise ConfigError with the reason; a task worker
    that cannot run raises TaskError.
    """

    async def ask(self, without: Sequence[str]) -> QuestionView:
        """Return a question that peers fail. `without`: hex digests of questions that the person does not
        want.
        """
        ...

    async def judge(self, question: str, turns: Sequence[str]) -> VerdictView:
        """Return the task's observation after an attempt so far, or what the attempt is worth. Stores
        nothing.
        """
        ...

    async def finish(self, question: str, attempts: Sequence[Sequence[str]], name: str | None) -> SentView:
        """Publish all attempts, in their order, as a group, if they can teach. `name`: the person's name in
        the record.
        """
        ...

    def answers(self) -> AnswersView:
        """Return what became of the answers so far."""
        ...
